# One event loop over epoll(7), because perl-base has no IO::Poll and select(2) ends at 1024 descriptors.
package Lab::Epoll;
use strict;
use warnings;
use POSIX ();
use Lab::Netns qw(%SYS clock);

use constant { ADD => 1, DEL => 2, MOD => 3, IN => 0x1, OUT => 0x4, ERR => 0x8, HUP => 0x10 };
use constant BATCH => 256;

# struct epoll_event is packed on x86_64 only (epoll_ctl(2)).
my $FORMAT = (POSIX::uname())[4] eq 'x86_64' ? 'L L L' : 'L x4 L L';
my $SIZE   = length pack($FORMAT, 0, 0, 0);

sub new {
    my ($class) = @_;
    my $fd = syscall($SYS{epoll_create1}, 0);
    die "epoll_create1: $!\n" if $fd < 0;
    return bless { fd => $fd, on => {}, timers => [], events => "\0" x ($SIZE * BATCH) }, $class;
}

# Call $on->($events) whenever the handle has one of the events of $mask.
sub watch {
    my ($self, $handle, $mask, $on) = @_;
    my $fd = fileno($handle);
    my $event = pack($FORMAT, $mask, $fd, 0);
    my $op = exists $self->{on}{$fd} ? MOD : ADD;
    syscall($SYS{epoll_ctl}, $self->{fd}, $op, $fd, $event) == 0 or die "epoll_ctl: $!\n";
    $self->{on}{$fd} = $on;
}

sub unwatch {
    my ($self, $handle) = @_;
    my $fd = fileno($handle);
    return unless defined $fd && delete $self->{on}{$fd};
    my $event = pack($FORMAT, 0, 0, 0);
    syscall($SYS{epoll_ctl}, $self->{fd}, DEL, $fd, $event);
}

# A queue of deadlines that all lie the same number of seconds ahead: first in, first due, no heap needed.
# Returns a function that takes what to call; a callback that has become pointless must notice so itself.
sub delay {
    my ($self, $seconds) = @_;
    my $queue = [];
    push @{ $self->{timers} }, $queue;
    return sub { push @$queue, [clock() + $seconds, $_[0]] };
}

# One round: wait for events or the next deadline, then call back.
sub run_once {
    my ($self) = @_;
    my $wait = -1;
    for my $queue (@{ $self->{timers} }) {
        next unless @$queue;
        my $ms = int(1000 * ($queue->[0][0] - clock())) + 1;
        $ms = 0 if $ms < 0;
        $wait = $ms if $wait < 0 || $ms < $wait;
    }
    my $count = syscall($SYS{epoll_pwait}, $self->{fd}, $self->{events}, BATCH, $wait, 0, 8);
    die "epoll_pwait: $!\n" if $count < 0 && !$!{EINTR};
    for my $index (0 .. $count - 1) {
        my ($mask, $fd) = unpack($FORMAT, substr($self->{events}, $index * $SIZE, $SIZE));
        my $on = $self->{on}{$fd} or next;
        $on->($mask);
    }
    my $time = clock();
    for my $queue (@{ $self->{timers} }) {
        (shift @$queue)->[1]->() while @$queue && $queue->[0][0] <= $time;
    }
}

1;
