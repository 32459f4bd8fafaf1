# As much of SCTP (RFC 9260) as a probe needs: INIT, INIT ACK and ABORT on a raw socket, so neither side needs the
# kernel's sctp module.
package Lab::Sctp;
use strict;
use warnings;
use Exporter 'import';

our @EXPORT_OK = qw(parse init_packet answer);

use constant { CHUNK_INIT => 1, CHUNK_INIT_ACK => 2, CHUNK_ABORT => 6, STATE_COOKIE => 7 };
use constant { WINDOW => 65_536, STREAMS => 1 };

# CRC32c, reflected polynomial 0x82F63B78 (RFC 9260 appendix A).
my @CRC = map {
    my $value = $_;
    $value = $value & 1 ? ($value >> 1) ^ 0x82F63B78 : $value >> 1 for 1 .. 8;
    $value;
} 0 .. 255;

sub crc32c {
    my ($bytes) = @_;
    my $crc = 0xFFFFFFFF;
    $crc = ($crc >> 8) ^ $CRC[($crc ^ $_) & 0xFF] for unpack('C*', $bytes);
    return $crc ^ 0xFFFFFFFF;
}

sub packet {
    my ($source, $destination, $tag, $chunks) = @_;
    my $bytes = pack('n n N V', $source, $destination, $tag, 0) . $chunks;
    substr($bytes, 8, 4) = pack('V', crc32c($bytes));
    return $bytes;
}

sub init_packet {
    my ($source, $destination, $tag) = @_;
    return packet($source, $destination, 0, pack('C C n N N n n N', CHUNK_INIT, 0, 20, $tag, WINDOW, STREAMS, STREAMS, $tag));
}

# The first chunk of a packet with a correct checksum, as a hash; undef for anything else.
sub parse {
    my ($bytes) = @_;
    return undef if length($bytes) < 16;
    my ($source, $destination, $tag, $sum) = unpack('n n N V', $bytes);
    my $copy = $bytes;
    substr($copy, 8, 4) = "\0\0\0\0";
    return undef if crc32c($copy) != $sum;
    my ($type, $flags, $length) = unpack('C C n', substr($bytes, 12));
    my %seen = (source => $source, destination => $destination, tag => $tag, type => $type, flags => $flags);
    ($seen{initiate}) = unpack('N', substr($bytes, 16)) if ($type == CHUNK_INIT || $type == CHUNK_INIT_ACK) && length($bytes) >= 32;
    return \%seen;
}

# The answer to an INIT: INIT ACK with a state cookie when the port is open, else ABORT (RFC 9260 section 8.4, 3).
sub answer {
    my ($init, $open) = @_;
    my ($source, $destination, $tag) = ($init->{destination}, $init->{source}, $init->{initiate});
    return packet($source, $destination, $tag, pack('C C n', CHUNK_ABORT, 0, 4)) unless $open;
    my $own = 1 + int rand 0xFFFFFFFE;
    my $cookie = pack('N N', $tag, $own);
    my $body = pack('N N n n N', $own, WINDOW, STREAMS, STREAMS, $own) . pack('n n', STATE_COOKIE, 4 + length $cookie) . $cookie;
    return packet($source, $destination, $tag, pack('C C n', CHUNK_INIT_ACK, 0, 4 + length $body) . $body);
}

1;
