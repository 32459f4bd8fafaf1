#!/usr/bin/perl
# Batched prober: asks "can this network namespace reach that port?" for thousands of pairs from ONE process, because
# a fork of nc per pair would make a policy matrix take minutes.
#
# Input, one probe a line:  <netns path, name, or -> <tcp|udp|sctp|icmp> <destination> <port> <timeout ms>
# Output, one line each as it ends:  <line number> <open|closed|timeout|unreachable> <ms> <reply or errno name>
#   open         TCP connected, UDP or ICMP replied, SCTP answered INIT ACK
#   closed       refused: TCP reset, ICMP port or protocol unreachable, SCTP ABORT
#   timeout      nothing came
#   unreachable  no route, no neighbour, administratively prohibited; or the probe could not start (the text says why)
# The port of icmp is ignored (write 0). Input may stay open: results come as they are ready, the end of input ends it.
use strict;
use warnings;
BEGIN { require File::Basename; unshift @INC, File::Basename::dirname(__FILE__) }
use Errno qw(EAGAIN EINTR EINPROGRESS ECONNREFUSED ENOPROTOOPT EPROTO);
use Socket qw(:DEFAULT AF_INET6 IPPROTO_TCP IPPROTO_UDP SOCK_NONBLOCK SOCK_CLOEXEC inet_pton pack_sockaddr_in6);
use Lab::Epoll;
use Lab::Netns qw(clock in_netns);
use Lab::Sctp;

use constant { IPPROTO_SCTP => 132, IPPROTO_ICMPV6 => 58, SOL_IPV6 => 41, IP_RECVERR => 11, IPV6_RECVERR => 25 };
use constant { MAX_IN_FLIGHT => 512, RESEND_SECONDS => 0.25 };

$| = 1;
my $loop = Lab::Epoll->new;
my $resend_later = $loop->delay(RESEND_SECONDS);
my %timeouts;    # ms => queue of that length
my ($in_flight, $ended, $line_number, @waiting) = (0, 0, 0);

sub finish {
    my ($probe, $verdict, $text) = @_;
    return if $probe->{done}++;
    if (my $sock = delete $probe->{sock}) {
        $loop->unwatch($sock);
        close $sock;
    }
    $text = '' unless defined $text;
    $text =~ s/\s+/ /g;
    $text =~ s/ $//;
    printf "%d %s %.1f %s\n", $probe->{line}, $verdict, 1000 * (clock() - $probe->{start}), $text;
    $in_flight--;
}

# A socket error in the words of the verdicts.
sub fail {
    my ($probe, $errno) = @_;
    return finish($probe, 'open', $probe->{reply}) if $probe->{connected};
    local $! = $errno;
    my ($name) = grep { $!{$_} } qw(ECONNREFUSED ENOPROTOOPT EPROTO EHOSTUNREACH ENETUNREACH EACCES EPERM EADDRNOTAVAIL ETIMEDOUT);
    return finish($probe, 'timeout', $name) if $!{ETIMEDOUT};
    # "No such protocol here" is ENOPROTOOPT from ICMP and EPROTO from ICMPv6.
    finish($probe, $errno == ECONNREFUSED || $errno == ENOPROTOOPT || $errno == EPROTO ? 'closed' : 'unreachable', $name || "$!");
}

sub pending_error {
    return unpack('i', getsockopt($_[0], SOL_SOCKET, SO_ERROR) || pack('i', 0));
}

my %SOCKET = (
    tcp  => sub { (SOCK_STREAM, IPPROTO_TCP) },
    udp  => sub { (SOCK_DGRAM, IPPROTO_UDP) },
    sctp => sub { (SOCK_RAW, IPPROTO_SCTP) },
    icmp => sub { (SOCK_RAW, $_[0] == AF_INET6 ? IPPROTO_ICMPV6 : 1) },
);

sub start {
    my ($probe) = @_;
    my $family = $probe->{destination} =~ /:/ ? AF_INET6 : AF_INET;
    my $packed = inet_pton($family, $probe->{destination});
    my $types = $SOCKET{ $probe->{protocol} };
    die "bad line: write <netns> <tcp|udp|sctp|icmp> <address> <port> <timeout ms>\n" unless $packed && $types;
    my $raw = $probe->{protocol} eq 'sctp' || $probe->{protocol} eq 'icmp';
    my $port = $raw ? 0 : $probe->{port};
    my $address = $family == AF_INET ? pack_sockaddr_in($port, $packed) : pack_sockaddr_in6($port, $packed);
    my ($type, $protocol) = $types->($family);
    my $connecting = in_netns($probe->{netns}, sub {
        socket($probe->{sock}, $family, $type | SOCK_NONBLOCK | SOCK_CLOEXEC, $protocol) or die "socket: $!\n";
        # Ask for ICMP errors also where the kernel calls them soft (ip(7), IP_RECVERR): a reject shows at once.
        setsockopt($probe->{sock}, $family == AF_INET ? 0 : SOL_IPV6, $family == AF_INET ? IP_RECVERR : IPV6_RECVERR, 1)
            if $protocol != IPPROTO_TCP;
        return connect($probe->{sock}, $address) ? 0 : $! + 0;
    });
    return fail($probe, $connecting) if $connecting && $connecting != EINPROGRESS;
    $probe->{family} = $family;
    $probe->{tag} = 1 + int rand 0xFFFE;
    if ($probe->{protocol} eq 'tcp') {
        $loop->watch($probe->{sock}, Lab::Epoll::OUT, sub { tcp_connected($probe) });
    } else {
        $loop->watch($probe->{sock}, Lab::Epoll::IN, sub { datagram($probe) });
        send_again($probe);
    }
}

sub tcp_connected {
    my ($probe) = @_;
    my $error = pending_error($probe->{sock});
    return fail($probe, $error) if $error;
    $probe->{connected} = 1;
    shutdown($probe->{sock}, 1);    # nothing to ask: the server may answer at once
    $loop->watch($probe->{sock}, Lab::Epoll::IN, sub {
        my $count = sysread($probe->{sock}, $probe->{reply}, 4096, length $probe->{reply});
        return if !defined $count && ($! == EAGAIN || $! == EINTR);
        finish($probe, 'open', $probe->{reply}) if !$count || length $probe->{reply} >= 4096;
    });
}

# UDP, SCTP and ICMP ask again until the timeout: the first packet may go down with an ARP queue.
sub send_again {
    my ($probe) = @_;
    return if $probe->{done};
    my $bytes = $probe->{protocol} eq 'udp' ? "probe\n"
        : $probe->{protocol} eq 'sctp' ? Lab::Sctp::init_packet(32_768 + ($probe->{tag} & 0x7FFF), $probe->{port}, $probe->{tag})
        : echo_request($probe);
    my $sent = send($probe->{sock}, $bytes, 0);
    return fail($probe, $! + 0) if !defined $sent && $! != EAGAIN;
    $resend_later->(sub { send_again($probe) });
}

sub echo_request {
    my ($probe) = @_;
    return pack('C C n n n', 128, 0, 0, $probe->{tag}, 1) if $probe->{family} == AF_INET6;    # the kernel sums ICMPv6
    my $sum = 0x0800 + $probe->{tag} + 1;
    $sum = ($sum & 0xFFFF) + ($sum >> 16) while $sum >> 16;
    return pack('C C n n n', 8, 0, ~$sum & 0xFFFF, $probe->{tag}, 1);
}

sub datagram {
    my ($probe) = @_;
    while (!$probe->{done}) {
        my $from = recv($probe->{sock}, my $bytes, 4096, 0);
        return $! == EAGAIN || $! == EINTR ? undef : fail($probe, $! + 0) unless defined $from;
        return finish($probe, 'open', $bytes) if $probe->{protocol} eq 'udp';
        $bytes = substr($bytes, 4 * (unpack('C', $bytes) & 15)) if $probe->{family} == AF_INET;
        if ($probe->{protocol} eq 'icmp') {
            my ($type, undef, undef, $tag) = unpack('C C n n', $bytes);
            return finish($probe, 'open') if $tag == $probe->{tag} && $type == ($probe->{family} == AF_INET ? 0 : 129);
            next;
        }
        my $seen = Lab::Sctp::parse($bytes) or next;
        next unless $seen->{tag} == $probe->{tag} && $seen->{source} == $probe->{port};
        return finish($probe, 'open') if $seen->{type} == Lab::Sctp::CHUNK_INIT_ACK;
        return finish($probe, 'closed', 'ABORT') if $seen->{type} == Lab::Sctp::CHUNK_ABORT;
    }
}

sub admit {
    while (@waiting && $in_flight < MAX_IN_FLIGHT) {
        my $probe = shift @waiting;
        $in_flight++;
        $probe->{start} = clock();
        my $ok = eval { start($probe); 1 };
        if (!$ok) {
            my $why = $@;
            finish($probe, 'unreachable', $why);
            next;
        }
        next if $probe->{done};
        my $ms = $probe->{timeout};
        $timeouts{$ms} ||= $loop->delay($ms / 1000);
        $timeouts{$ms}->(sub { $probe->{connected} ? finish($probe, 'open', $probe->{reply}) : finish($probe, 'timeout') });
    }
}

my $input = '';
STDIN->blocking(0);
sub read_input {
    my $count = sysread(STDIN, $input, 65_536, length $input);
    return if !defined $count && ($! == EAGAIN || $! == EINTR);
    if (!$count) {
        $ended = 1;
        $input .= "\n" if length $input;
        $loop->unwatch(\*STDIN);
    }
    while ($input =~ s/^([^\n]*)\n//) {
        $line_number++;
        my ($netns, $protocol, $destination, $port, $timeout) = split ' ', $1;
        next unless defined $netns;
        $netns = "/run/netns/$netns" unless $netns eq '-' || $netns =~ m{/};
        push @waiting, {
            line => $line_number, netns => $netns, protocol => $protocol || '', destination => $destination || '',
            port => $port || 0, timeout => $timeout || 1000, reply => '', done => 0,
        };
    }
}

# epoll refuses regular files (EPERM): then all of the input is there already.
eval { $loop->watch(\*STDIN, Lab::Epoll::IN, \&read_input); 1 } or do { read_input() until $ended };
admit();
while (!$ended || $in_flight || @waiting) {
    $loop->run_once;
    admit();
}
