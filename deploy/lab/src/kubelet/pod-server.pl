#!/usr/bin/perl
# Answers for every pod of the machine whose containers have no command, from ONE process: it enters a pod's network
# namespace, makes the sockets there and returns; the sockets stay. It also makes and removes the namespaces, because
# a system call costs less than a fork of iproute2.
#
# Requests, one a line on standard input; the reply to each on standard output:
#   <seq> open <id> <netns path or -> <name> <tcp|udp|sctp>:<port>...   answer on these ports with <name>
#   <seq> close <id>                                                   absent ids are fine
#   <seq> netns-add <name>     <seq> netns-del <name>                  /run/netns/<name>, with lo up
#   <seq> wait-pid <pid>                                                ok when that process has ended
# Replies: `<seq> ok` or `<seq> error <text>`. End of input ends the process.
#
# TCP: a client that sends an HTTP request gets an HTTP response; one that sends anything else, ends its side, or says
# nothing for a moment gets `<name>\n`. UDP: every datagram is answered with `<name>\n`. SCTP: INIT is answered.
use strict;
use warnings;
BEGIN { require File::Basename; unshift @INC, File::Basename::dirname(__FILE__) }
use Errno qw(EAGAIN EINTR EAFNOSUPPORT);
use Socket qw(:DEFAULT AF_INET6 IPPROTO_TCP IPPROTO_UDP IPPROTO_IPV6 SOCK_NONBLOCK SOCK_CLOEXEC pack_sockaddr_in6);
use Lab::Epoll;
use Lab::Netns qw(%SYS in_netns netns_add netns_del);
use Lab::Sctp;

use constant { IPPROTO_SCTP => 132, IP_PKTINFO => 8, IPV6_RECVPKTINFO => 49, IPV6_PKTINFO => 50, IPV6_V6ONLY => 26 };
use constant { GREETING_SECONDS => 0.2, LINGER_SECONDS => 30 };

$SIG{PIPE} = 'IGNORE';
my $loop = Lab::Epoll->new;
my $greet_later = $loop->delay(GREETING_SECONDS);
my $drop_later  = $loop->delay(LINGER_SECONDS);

my %pods;          # id => { name, netns, sockets, connections, sctp => { port => 1 } }
my %sctp_ports;    # netns => { port => number of listeners }
my $sequence;       # of the request being served

# ---- sockets ------------------------------------------------------------------------------------------------------

sub bound_socket {
    my ($family, $type, $protocol, $port) = @_;
    my $sock;
    unless (socket($sock, $family, $type | SOCK_NONBLOCK | SOCK_CLOEXEC, $protocol)) {
        return undef if $! == EAFNOSUPPORT;    # a host without IPv6
        die "socket: $!\n";
    }
    setsockopt($sock, SOL_SOCKET, SO_REUSEADDR, 1) if $protocol == IPPROTO_TCP;
    setsockopt($sock, IPPROTO_IPV6, IPV6_V6ONLY, 1) if $family == AF_INET6 && $type != SOCK_RAW;
    my $address = $family == AF_INET ? pack_sockaddr_in($port, INADDR_ANY) : pack_sockaddr_in6($port, "\0" x 16);
    bind($sock, $address) or die "cannot bind port $port: $!\n";
    return $sock;
}

sub listen_on {
    my ($pod, $protocol, $port) = @_;
    for my $family (AF_INET, AF_INET6) {
        my $sock;
        if ($protocol eq 'tcp') {
            $sock = bound_socket($family, SOCK_STREAM, IPPROTO_TCP, $port) or next;
            listen($sock, 128) or die "cannot listen on port $port: $!\n";
            $loop->watch($sock, Lab::Epoll::IN, sub { accept_from($pod, $sock) });
        } else {
            my $raw = $protocol eq 'sctp';
            $sock = bound_socket($family, $raw ? (SOCK_RAW, IPPROTO_SCTP, 0) : (SOCK_DGRAM, IPPROTO_UDP, $port)) or next;
            my @info = $family == AF_INET ? (0, IP_PKTINFO) : (IPPROTO_IPV6, IPV6_RECVPKTINFO);
            setsockopt($sock, $info[0], $info[1], 1) or die "pktinfo: $!\n";
            my $reply = $raw ? sub { sctp_reply($pod, $family, $_[0]) } : sub { "$pod->{name}\n" };
            $loop->watch($sock, Lab::Epoll::IN, sub { answer_datagrams($sock, $family, $raw, $reply) });
        }
        push @{ $pod->{sockets} }, $sock;
    }
}

# ---- UDP and SCTP: answer from the address that was asked ------------------------------------------------------------

my ($payload, $control, $peer) = ("\0" x 2048, "\0" x 256, "\0" x 28);
vec($_, 0, 8) = 0 for $payload, $control, $peer;    # buffers of their own: the kernel writes into them

# struct msghdr and struct iovec (recvmsg(2)), all little-endian 64-bit. The vector is used in place: the pack holds
# its address.
sub message {
    return pack("P L x4 P Q P Q l x4", $peer, $_[0], $_[1], 1, $control, $_[2], 0);
}

sub answer_datagrams {
    my ($sock, $family, $raw, $reply_to) = @_;
    for (1 .. 64) {
        my $vector = pack('P Q', $payload, length $payload);
        my $header = message(length $peer, $vector, length $control);
        my $length = syscall($SYS{recvmsg}, fileno($sock), $header, 0);
        return if $length < 0;    # drained, or an ICMP error of an earlier answer
        my (undef, $peer_length, undef, undef, undef, $control_length) = unpack('Q L x4 Q Q Q Q', $header);
        my $reply = $reply_to->(substr($payload, 0, $length));
        next unless defined $reply;
        # The destination becomes the source: a wildcard socket would pick any address of the host. The interface is
        # left to routing, except for link-local addresses, which mean nothing without one.
        if ($family == AF_INET) {
            substr($control, 16, 4) = "\0\0\0\0";
        } elsif (substr($control, 16, 2) ne "\xfe\x80") {
            substr($control, 32, 4) = "\0\0\0\0";
        }
        # A raw IPv6 socket refuses a port in the address.
        substr($peer, 2, 2) = "\0\0" if $raw;
        my $out = pack('P Q', $reply, length $reply);
        my $answer = message($peer_length, $out, $control_length);
        syscall($SYS{sendmsg}, fileno($sock), $answer, 0);
    }
}

sub sctp_reply {
    my ($pod, $family, $packet) = @_;
    $packet = substr($packet, 4 * (unpack('C', $packet) & 15)) if $family == AF_INET;    # raw IPv4 shows its header
    my $init = Lab::Sctp::parse($packet);
    return undef unless $init && $init->{type} == Lab::Sctp::CHUNK_INIT && $init->{initiate};
    my $open = $pod->{sctp}{ $init->{destination} };
    # Another pod in the same namespace (hostNetwork) may own the port.
    return undef if !$open && $sctp_ports{ $pod->{netns} }{ $init->{destination} };
    return Lab::Sctp::answer($init, $open);
}

# ---- TCP ---------------------------------------------------------------------------------------------------------------

sub accept_from {
    my ($pod, $listener) = @_;
    while (accept(my $client, $listener)) {
        $client->blocking(0);
        my $connection = { pod => $pod, sock => $client, heard => '', answered => 0 };
        $pod->{connections}{ fileno $client } = $connection;
        $loop->watch($client, Lab::Epoll::IN, sub { hear($connection) });
        $greet_later->(sub { greet($connection) if $connection->{sock} && $connection->{heard} eq '' });
        $drop_later->(sub { hang_up($connection) });
    }
}

sub hear {
    my ($connection) = @_;
    my $sock = $connection->{sock} or return;
    my $count = sysread($sock, my $bytes, 65_536);
    return if !defined $count && ($! == EAGAIN || $! == EINTR);
    return hang_up($connection) if !defined $count;
    if ($count == 0) {
        greet($connection);
        return hang_up($connection);
    }
    return if $connection->{answered};
    $connection->{heard} .= $bytes;
    my $heard = $connection->{heard};
    if ($heard =~ m{^[A-Z]+ \S+ HTTP/1\.[01]\r?\n}) {
        greet($connection, "http", $heard =~ /^HEAD /) if $heard =~ /\n\r?\n/;
    } elsif ($heard =~ /\n/ || $heard !~ /^[A-Z]+( |$)/) {
        greet($connection);
    }
}

sub greet {
    my ($connection, $http, $head) = @_;
    my $sock = $connection->{sock} or return;
    return if $connection->{answered}++;
    my $body = "$connection->{pod}{name}\n";
    my $length = length $body;
    my $text = !$http ? $body
        : "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: $length\r\nConnection: close\r\n\r\n"
        . ($head ? '' : $body);
    syswrite($sock, $text);    # a fresh socket's buffer holds a name
    shutdown($sock, 1);        # the client sees the end; what it still sends is read and dropped, so no reset cuts the answer
}

sub hang_up {
    my ($connection) = @_;
    my $sock = delete $connection->{sock} or return;
    delete $connection->{pod}{connections}{ fileno $sock };
    $loop->unwatch($sock);
    close $sock;
}

# ---- requests ------------------------------------------------------------------------------------------------------------

sub open_pod {
    my ($id, $netns, $name, @ports) = @_;
    die "usage: open <id> <netns> <name> <proto>:<port>...\n" unless defined $name;
    close_pod($id);
    my $pod = $pods{$id} = { name => $name, netns => $netns, sockets => [], connections => {}, sctp => {} };
    my $ok = eval {
        in_netns($netns, sub {
            for my $text (@ports) {
                my ($protocol, $port) = $text =~ /^(tcp|udp|sctp):(\d{1,5})$/ or die "bad port '$text': write tcp:80\n";
                if ($protocol eq 'sctp') {
                    my $first = !%{ $pod->{sctp} };
                    $sctp_ports{$netns}{$port}++ unless $pod->{sctp}{$port}++;
                    next unless $first;    # one raw socket hears all ports
                }
                listen_on($pod, $protocol, $port);
            }
        });
        1;
    };
    return if $ok;
    my $failure = $@;
    close_pod($id);
    die $failure;
}

sub close_pod {
    my ($id) = @_;
    my $pod = delete $pods{$id} or return;
    hang_up($_) for values %{ $pod->{connections} };
    for my $sock (@{ $pod->{sockets} }) {
        $loop->unwatch($sock);
        close $sock;
    }
    my $shared = $sctp_ports{ $pod->{netns} } or return;
    for my $port (keys %{ $pod->{sctp} }) {
        delete $shared->{$port} unless --$shared->{$port};
    }
    delete $sctp_ports{ $pod->{netns} } unless %$shared;
}

# The exit of a process that is not our child: pidfd_open(2) is readable then. The reply is sent at that time.
sub wait_pid {
    my ($pid) = @_;
    my $waiting = $sequence;
    my $fd = syscall($SYS{pidfd_open}, $pid + 0, 0);
    if ($fd < 0) {
        die "pidfd_open $pid: $!\n" unless $!{ESRCH};
        return "ok";
    }
    open(my $handle, "<&=", $fd) or die "fdopen: $!\n";
    $loop->watch($handle, Lab::Epoll::IN, sub {
        $loop->unwatch($handle);
        close $handle;
        send_replies("$waiting ok\n");
    });
    return "later";
}

my %VERBS = (
    "open" => \&open_pod, "close" => \&close_pod, "netns-add" => \&netns_add, "netns-del" => \&netns_del,
    "wait-pid" => \&wait_pid,
);

sub serve_line {
    my ($line) = @_;
    my ($number, $verb, @arguments) = split ' ', $line;
    return '' unless defined $verb;
    my $run = $VERBS{$verb} or return "$number error unknown verb '$verb'\n";
    $sequence = $number;
    my $outcome;
    if (eval { $outcome = $run->(@arguments); 1 }) {
        return defined $outcome && $outcome eq "later" ? "" : "$number ok\n";
    }
    my $why = $@;
    $why =~ s/\s+/ /g;
    return "$number error $why\n";
}

sub send_replies {
    my ($replies) = @_;
    while (length $replies) {
        my $written = syswrite(STDOUT, $replies);
        exit 1 unless defined $written;
        substr($replies, 0, $written) = "";
    }
}

my $input = '';
STDIN->blocking(0);
$loop->watch(\*STDIN, Lab::Epoll::IN, sub {
    my $count = sysread(STDIN, $input, 65_536, length $input);
    return if !defined $count && ($! == EAGAIN || $! == EINTR);
    exit 0 unless $count;
    my $replies = '';
    while ($input =~ s/^([^\n]*)\n//) {
        $replies .= serve_line($1);
    }
    send_replies($replies);
});
$loop->run_once() while 1;
