#!/usr/bin/perl
# Small UDP packets on several streams, one every two milliseconds on each, and when they begin and cease to arrive.
#
# Input: a line `<name> <netns path of the sender> <netns path of the receiver> <address of the receiver> <port>` for each
# stream, then an empty line; it ends at the end of the input. Output: `in <name> <time>` for the first packet after a
# silence, `out <name> <time>` for the last one before a silence of SILENCE seconds. Times are those of CLOCK_MONOTONIC, in
# seconds.
use strict;
use warnings;
BEGIN { require File::Basename; unshift @INC, File::Basename::dirname(__FILE__) . '/../../deploy/lab/src/kubelet' }
use Errno qw(EAGAIN EINTR);
use Socket qw(:DEFAULT AF_INET6 SOCK_NONBLOCK inet_pton pack_sockaddr_in6);
use Lab::Epoll;
use Lab::Netns qw(clock in_netns);

use constant { PERIOD => 0.002, LATE => 0.02, SILENCE => 0.15 };

$| = 1;
my $loop = Lab::Epoll->new;
my @streams;
my $silence = $loop->delay(SILENCE);

while (defined(my $line = <STDIN>)) {
    last if $line =~ /^$/;
    my ($name, $from, $to, $address, $port) = split ' ', $line;
    my $family = $address =~ /:/ ? AF_INET6 : AF_INET;
    my $packed = inet_pton($family, $address) or die "$name: not an address: $address\n";
    my $where = $family == AF_INET ? pack_sockaddr_in($port, $packed) : pack_sockaddr_in6($port, $packed);
    my $stream = { name => $name, open => 0, last => 0 };
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

sub receive {
    my ($stream) = @_;
    my $count = 0;
    $count++ while defined recv($stream->{in}, my $bytes, 2048, 0);
    $!{EAGAIN} || $!{EINTR} or die "$stream->{name}: recv: $!\n";
    return unless $count;
    $stream->{last} = clock();
    return if $stream->{open};
    $stream->{open} = 1;
    printf "in %s %.6f\n", $stream->{name}, $stream->{last};
    $silence->(sub { listen_on($stream) });
}

# Looks again a whole silence later, or says that there was one.
sub listen_on {
    my ($stream) = @_;
    if (clock() - $stream->{last} < SILENCE) {
        $silence->(sub { listen_on($stream) });
        return;
    }
    $stream->{open} = 0;
    printf "out %s %.6f\n", $stream->{name}, $stream->{last};
}

my $wait = $loop->delay(PERIOD / 2);
my $due = clock();
sub tick {
    my $now = clock();
    $due = $now if $now - $due > LATE;
    for (; $due <= $now; $due += PERIOD) { send($_->{out}, 'x', 0) for @streams }
    $wait->(\&tick);
}
tick();

my $running = 1;
$loop->watch(\*STDIN, Lab::Epoll::IN, sub {
    my $count = sysread(STDIN, my $bytes, 4096);
    $running = 0 unless $count || (!defined $count && ($!{EAGAIN} || $!{EINTR}));
});
$loop->run_once while $running;
