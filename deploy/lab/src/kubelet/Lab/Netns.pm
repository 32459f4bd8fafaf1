# Network namespaces by system call: no fork, no iproute2. Only modules of Debian's perl-base are used, so that the
# same file runs on every machine the lab supports (x86_64 and aarch64).
package Lab::Netns;
use strict;
use warnings;
use Exporter 'import';
use POSIX ();
use Socket qw(AF_INET SOCK_DGRAM);

our @EXPORT_OK = qw(%SYS clock netns_add netns_del in_netns);

use constant { CLONE_NEWNET => 0x40000000, MS_BIND => 0x1000, MS_REC => 0x4000, MS_SHARED => 0x100000, MNT_DETACH => 2 };
use constant { SIOCGIFFLAGS => 0x8913, SIOCSIFFLAGS => 0x8914, IFF_UP => 1 };
use constant NETNS_DIR => '/run/netns';

# System call numbers: arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h of Linux.
my %NUMBERS = (
    x86_64 => {
        setns => 308, pidfd_open => 434, unshare => 272, mount => 165, umount2 => 166, recvmsg => 47, sendmsg => 46,
        epoll_create1 => 291, epoll_ctl => 233, epoll_pwait => 281, clock_gettime => 228,
    },
    aarch64 => {
        setns => 268, pidfd_open => 434, unshare => 97, mount => 40, umount2 => 39, recvmsg => 212, sendmsg => 211,
        epoll_create1 => 20, epoll_ctl => 21, epoll_pwait => 22, clock_gettime => 113,
    },
);
my $machine = (POSIX::uname())[4];
die "no system call numbers for $machine: x86_64 and aarch64 are supported\n" unless $NUMBERS{$machine};
our %SYS = %{ $NUMBERS{$machine} };

open(my $home, '<', '/proc/self/ns/net') or die "/proc/self/ns/net: $!\n";

# Monotonic seconds (perl-base has no Time::HiRes).
sub clock {
    my $time = pack("q q", 0, 0);
    syscall($SYS{clock_gettime}, 1, $time) == 0 or die "clock_gettime: $!\n";
    my ($seconds, $nanoseconds) = unpack("q q", $time);
    return $seconds + $nanoseconds / 1e9;
}

# Run $code inside the network namespace at $path ('-' = the caller's own) and come back, also when it dies.
# Sockets made in there stay there.
sub in_netns {
    my ($path, $code) = @_;
    return $code->() if $path eq '-';
    open(my $target, '<', $path) or die "cannot open network namespace $path: $!\n";
    syscall($SYS{setns}, fileno($target), CLONE_NEWNET) == 0 or die "cannot enter $path: $!\n";
    my ($result, $failure);
    my $ok = eval { $result = $code->(); 1 };
    $failure = $@ unless $ok;
    # Staying in a foreign namespace would put every later socket into the wrong pod: better to end.
    syscall($SYS{setns}, fileno($home), CLONE_NEWNET) == 0 or POSIX::_exit(70);
    die $failure unless $ok;
    return $result;
}

my $shared = 0;

# As `ip netns add` does it: /run/netns is a shared mount, so processes in other mount namespaces
# (whatever `ip netns exec` started) see new names and do not keep deleted ones alive.
sub share_netns_dir {
    return if $shared;
    my ($dir, $none, $nothing) = (NETNS_DIR, 'none', '');
    mkdir $dir, 0755;
    my $try = sub { syscall($SYS{mount}, $nothing, $dir, $none, MS_SHARED | MS_REC, 0) == 0 };
    unless ($try->()) {
        syscall($SYS{mount}, $dir, $dir, $none, MS_BIND | MS_REC, 0) == 0 or die "cannot bind $dir on itself: $!\n";
        $try->() or die "cannot share $dir: $!\n";
    }
    $shared = 1;
}

# Create the network namespace /run/netns/$name with `lo` up. An existing one of that name is an error.
sub netns_add {
    my ($name) = @_;
    share_netns_dir();
    my $path = NETNS_DIR . "/$name";
    sysopen(my $fh, $path, POSIX::O_RDONLY() | POSIX::O_CREAT() | POSIX::O_EXCL(), 0) or die "cannot create $path: $!\n";
    close $fh;
    my $source = '/proc/self/ns/net';
    my $none = 'none';
    unless (syscall($SYS{unshare}, CLONE_NEWNET) == 0) {
        my $why = "$!";
        unlink $path;
        die "cannot make a network namespace: $why\n";
    }
    my $ok = eval {
        syscall($SYS{mount}, $source, $path, $none, MS_BIND, 0) == 0 or die "cannot bind $path: $!\n";
        link_up('lo');
        1;
    };
    my $failure = $@;
    syscall($SYS{setns}, fileno($home), CLONE_NEWNET) == 0 or POSIX::_exit(70);
    return if $ok;
    netns_del($name);
    die $failure;
}

# Take the name away; the namespace goes when the last process or socket in it does. Absent names are fine.
sub netns_del {
    my ($name) = @_;
    my $path = NETNS_DIR . "/$name";
    syscall($SYS{umount2}, $path, MNT_DETACH);
    unlink $path or $!{ENOENT} or die "cannot remove $path: $!\n";
}

sub link_up {
    my ($link) = @_;
    socket(my $sock, AF_INET, SOCK_DGRAM, 0) or die "socket: $!\n";
    my $request = pack('a16 s x22', $link, 0);    # struct ifreq
    ioctl($sock, SIOCGIFFLAGS, $request) or die "$link: $!\n";
    my (undef, $flags) = unpack('a16 s', $request);
    $request = pack('a16 s x22', $link, $flags | IFF_UP);
    ioctl($sock, SIOCSIFFLAGS, $request) or die "cannot set $link up: $!\n";
}

1;
