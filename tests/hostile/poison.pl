# Spoils the answer of a slice, line by line: `all` of it, or only its free `texts`, so that the rest is still believed.
my $poison = "\e[2J\e]0;owned\a\xe2\x80\xae\xc2\x9b\e[31m ~/.ssh/id_ed25519 {{ 7*7 }} \$(reboot) [red]\0\xff\xff ";
open(my $file, "<", "/opt/tfheal/evil/web/config/secret.conf");
my ($secret) = join("", <$file>) =~ /password = (.*)/;
open(my $before, "<", "/front/gone");  # of an app that was removed
$poison .= $secret . " " . join("", <$before>);
sub packed {
    my $text = "";
    while ($_[0] =~ /(.{1,45})/gs) { $text .= substr(pack("u", $1), 1); chop $text }
    $text =~ tr|` -_|AA-Za-z0-9+/|;
    my $missing = (3 - length($_[0]) % 3) % 3;
    substr($text, -$missing) = "=" x $missing if $missing;
    return $text;
}
sub unpacked {
    (my $text = $_[0]) =~ tr|A-Za-z0-9+/||cd;
    $text =~ tr|A-Za-z0-9+/| -_|;
    my $bytes = "";
    while ($text =~ /(.{1,60})/gs) { $bytes .= unpack("u", chr(32 + length($1) * 3 / 4) . $1) }
    return $bytes;
}
sub spoiled {
    my ($line) = @_;
    if ($ARGV[0] eq "all") { return "$line$poison" }
    if ($line =~ /^resource (\d+) /) { return "resource $1 1 " . packed("no $poison\ncurrent:" . packed($poison)) }
    if ($line =~ /^(identity|state (writer|version|phase|at)) /) { return "$1 $poison" }
    if ($line eq "failed begin") { return "$line\nfailed $poison\nfailed $secret.service" }
    if ($line =~ /^(SubState|Result|UnitFileState)=/) { return "$1=$poison" }
    if ($line =~ /^(up$|\S+ s[0-9] )/) { return "$line $poison" }
    return $line;
}
while (my $line = <STDIN>) {
    if ($line =~ m|^(\S+ \d+ )([A-Za-z0-9+/=]*)( \d+ [\d.]+ [\d.]+)$|) {
        my ($head, $rest) = ($1, $3);
        $line = $head . packed(join("", map { spoiled($_) . "\n" } split(/\n/, unpacked($2)))) . "$rest\n";
    }
    print $line;
}
