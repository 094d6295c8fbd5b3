# Answers every connection on a port: with a word, or with what the first of the addresses says that answers.
use strict;
use warnings;
use IO::Socket::IP;

my ($port, $word, @others) = @ARGV;
my $server = IO::Socket::IP->new(LocalPort => $port, LocalHost => '::', Listen => 20, ReuseAddr => 1, V6Only => 0) or die $@;
while (1) {
    my $client = $server->accept or next;
    sysread $client, my $request, 4096;
    my $said = $word;
    for my $address (@others) {
        my $other = IO::Socket::IP->new(PeerHost => $address, PeerPort => 7001, Timeout => 2) or next;
        syswrite $other, "GET / HTTP/1.0\r\n\r\n";
        my $all = '';
        while (sysread $other, my $part, 4096) { $all .= $part }
        ($said) = $all =~ /\r\n\r\n(.*)/s;
        last;
    }
    syswrite $client, "HTTP/1.0 200 OK\r\nContent-Length: " . length($said) . "\r\n\r\n$said";
    close $client;
}
