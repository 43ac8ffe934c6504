#!/usr/bin/perl
# Asks a clamd for its version and tries to scan files with it, by way of
# ClamAV::Client.
#
# usage: scan_perl.pl HOST PORT FILE...
#
# Prints one line for each file as clamscan does. ClamAV::Client 0.11 sends the
# command STREAM, which clamd has dropped, so that all it can get is an error.
use strict;
use warnings;

use ClamAV::Client;

my ($host, $port, @paths) = @ARGV;

sub client { return ClamAV::Client->new(socket_host => $host, socket_port => $port) }

print STDERR 'PING ',    client()->ping(),    "\n";
print STDERR 'VERSION ', client()->version(), "\n";

for my $path (@paths) {
    open my $body, '<:raw', $path or die "open $path: $!\n";
    my $found = eval { client()->scan_stream($body) };
    if (my $error = $@) {
        $error =~ s/\s+/ /g;
        print "$path: $error ERROR\n";
    } elsif (defined $found) {
        print "$path: $found FOUND\n";
    } else {
        print "$path: OK\n";
    }
    close $body;
}
