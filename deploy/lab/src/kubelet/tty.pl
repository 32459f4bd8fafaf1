#!/usr/bin/perl
# Runs a command on a pseudo terminal and copies between it and standard input and output: `kubectl exec -it`.
# Window sizes come as lines `<columns> <rows>` on descriptor 3. The exit status is the command's.
use strict;
use warnings;
use Errno qw(EINTR EIO);
use Fcntl qw(O_NOCTTY O_RDWR);
use POSIX qw(:sys_wait_h setsid);

use constant { TIOCSPTLCK => 0x40045431, TIOCGPTN => 0x80045430, TIOCSCTTY => 0x540E, TIOCSWINSZ => 0x5414 };

die "usage: tty.pl <command>...\n" unless @ARGV;
my $sizes;
undef $sizes unless open($sizes, '<&=', 3);    # before anything else can become descriptor 3
open(my $master, '+<', '/dev/ptmx') or die "/dev/ptmx: $!\n";
my $number = pack('I', 0);
ioctl($master, TIOCSPTLCK, $number) or die "cannot unlock the terminal: $!\n";
ioctl($master, TIOCGPTN, $number) or die "cannot name the terminal: $!\n";
my $name = '/dev/pts/' . unpack('I', $number);
sysopen(my $slave, $name, O_RDWR | O_NOCTTY) or die "$name: $!\n";

my $pid = fork;
die "fork: $!\n" unless defined $pid;
if (!$pid) {
    close $master;
    setsid();
    ioctl($slave, TIOCSCTTY, 0) or print STDERR "no controlling terminal: $!\n";
    POSIX::dup2(fileno($slave), $_) for 0 .. 2;
    POSIX::close(3);
    exec { $ARGV[0] } @ARGV or print STDERR "$ARGV[0]: $!\n";
    POSIX::_exit(127);
}
close $slave;

sub copy_all {
    my ($to, $bytes) = @_;
    while (length $bytes) {
        my $written = syswrite($to, $bytes);
        return 0 unless defined $written || $!{EINTR};
        substr($bytes, 0, $written || 0) = '';
    }
    return 1;
}

my %open = (fileno($master) => $master, 0 => \*STDIN, $sizes ? (3 => $sizes) : ());
my $pending = '';
while ($open{ fileno $master }) {
    my $wanted = '';
    vec($wanted, $_, 1) = 1 for keys %open;
    next if select(my $ready = $wanted, undef, undef, undef) < 0;
    for my $fd (keys %open) {
        next unless vec($ready, $fd, 1);
        my $count = sysread($open{$fd}, my $bytes, 65_536);
        next if !defined $count && $!{EINTR};
        if (!$count) {    # EIO: the last process on the terminal has closed it
            syswrite($master, "\x04") if $fd == 0;
            delete $open{$fd};
        } elsif ($fd == fileno $master) {
            copy_all(\*STDOUT, $bytes) or delete $open{$fd};
        } elsif ($fd == 0) {
            copy_all($master, $bytes);
        } else {
            $pending .= $bytes;
            while ($pending =~ s/^(\d+) (\d+)\n//) {
                ioctl($master, TIOCSWINSZ, my $size = pack('S S S S', $2, $1, 0, 0));
            }
        }
    }
}
waitpid($pid, 0);
exit(WIFSIGNALED($?) ? 128 + WTERMSIG($?) : WEXITSTATUS($?));
