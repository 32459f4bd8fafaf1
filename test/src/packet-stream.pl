#!/usr/bin/perl
# Numbered UDP packets, 100 a second on each of several streams, all from one process, so that what the machine does to
# one stream it does to all.
#
# Input: a line `<name> <netns path of the sender> <netns path of the receiver> <address of the receiver> <port> <open|closed>`
# for each stream, then an empty line. Once every open stream has delivered a packet (paths are resolved, flows are set up)
# it writes `ready` and counts from there, and `at <number>` for every hundredth packet. At the end of the input it stops
# sending, waits for what is still on its way, and writes for each stream `result <name> <sent> <numbers, joined by commas,
# or ->`: of the packets that were lost, of a closed stream those that arrived.
use strict;
use warnings;
BEGIN { require File::Basename; unshift @INC, File::Basename::dirname(__FILE__) . '/../../deploy/lab/src/kubelet' }
use Errno qw(EAGAIN EINTR);
use Socket qw(:DEFAULT AF_INET6 SOCK_NONBLOCK inet_pton pack_sockaddr_in6);
use Lab::Epoll;
use Lab::Netns qw(clock in_netns);

use constant { PERIOD => 0.01, LATE => 0.2, DRAIN => 1, PAYLOAD => 64 };

$| = 1;
my $loop = Lab::Epoll->new;
my @streams;

while (defined(my $line = <STDIN>)) {
    last if $line =~ /^$/;
    my ($name, $from, $to, $address, $port, $kind) = split ' ', $line;
    my $family = $address =~ /:/ ? AF_INET6 : AF_INET;
    my $packed = inet_pton($family, $address) or die "$name: not an address: $address\n";
    my $where = $family == AF_INET ? pack_sockaddr_in($port, $packed) : pack_sockaddr_in6($port, $packed);
    my $stream = { name => $name, closed => $kind eq 'closed', next => 0, first => 0, seen => '', delivered => 0 };
    in_netns($to, sub {
        socket($stream->{in}, $family, SOCK_DGRAM | SOCK_NONBLOCK, 0) or die "$name: socket: $!\n";
        bind($stream->{in}, $where) or die "$name: cannot bind $address port $port: $!\n";
    });
    in_netns($from, sub {
        socket($stream->{out}, $family, SOCK_DGRAM | SOCK_NONBLOCK, 0) or die "$name: socket: $!\n";
        connect($stream->{out}, $where) or die "$name: connect $address: $!\n";
    });
    $loop->watch($stream->{in}, Lab::Epoll::IN, sub { receive($stream) });
    push @streams, $stream;
}

my $last_arrival = 0;
sub receive {
    my ($stream) = @_;
    while (defined recv($stream->{in}, my $bytes, 2048, 0)) {
        my $number = unpack('N', $bytes);
        vec($stream->{seen}, $number, 1) = 1;
        $stream->{delivered} = 1;
        $last_arrival = clock();
    }
    $!{EAGAIN} || $!{EINTR} or die "$stream->{name}: recv: $!\n";
}

# A packet that cannot be sent (no route, a full queue) is lost like any other.
my $counting = 0;
sub send_all {
    send($_->{out}, pack('N x' . (PAYLOAD - 4), $_->{next}++), 0) for @streams;
    return unless $counting;
    my $sent = $streams[0]{next} - $streams[0]{first};
    print "at $sent\n" if $sent % 100 == 0;
}

my $sending = 1;
my $pace = $loop->delay(0);
my $wait = $loop->delay(PERIOD);
my $due = clock();
sub tick {
    return unless $sending;
    my $now = clock();
    # After a pause of the whole machine: go on from here instead of filling queues with the backlog.
    $due = $now if $now - $due > LATE;
    while ($due <= $now) {
        send_all();
        $due += PERIOD;
    }
    $wait->(\&tick);
}
$pace->(\&tick);

$loop->watch(\*STDIN, Lab::Epoll::IN, sub {
    my $count = sysread(STDIN, my $bytes, 4096);
    return if $count || (!defined $count && ($!{EAGAIN} || $!{EINTR}));
    $loop->unwatch(\*STDIN);
    $sending = 0;
});
while ($sending) {
    $loop->run_once;
    next if $counting || grep { !$_->{closed} && !$_->{delivered} } @streams;
    $counting = 1;
    $_->{first} = $_->{next} for @streams;
    print "ready\n";
}

sub with_seen {
    my ($stream, $seen) = @_;
    return grep { vec($stream->{seen}, $_, 1) == $seen } $stream->{first} .. $stream->{next} - 1;
}
my $stopped = clock();
my $drain = $loop->delay(0.05);
while ((grep { $_->{closed} || with_seen($_, 0) } @streams) && clock() - ($last_arrival > $stopped ? $last_arrival : $stopped) < DRAIN) {
    $drain->(sub { });
    $loop->run_once;
}
for my $stream (@streams) {
    my $numbers = join ',', map { $_ - $stream->{first} } with_seen($stream, $stream->{closed} ? 1 : 0);
    printf "result %s %d %s\n", $stream->{name}, $stream->{next} - $stream->{first}, $numbers eq '' ? '-' : $numbers;
}
