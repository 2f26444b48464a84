#!@perl@/bin/perl -w
use strict;
use lib "@out@/lib/perl5/site_perl";
use PlApp qw(greeting);

my $data = "@out@/share/plapp/data.txt";
my $also = '@out@/share/plapp/data.txt';

print "name $0\n";
print "file " . __FILE__ . "\n";
print "line " . __LINE__ . "\n";
print "args @ARGV\n";
print "module $INC{'PlApp.pm'}\n";
print "greets " . greeting() . "\n";
open(my $in, '<', $data) or die "plapp: $data: $!";
print "data " . <$in>;
close($in);
print "same " . (-s $data == -s $also ? "yes" : "no") . "\n";
# What the kernel and the shell make of the program's own name.
print "again " . qx("$0" --inner) unless @ARGV && $ARGV[0] eq '--inner';
while (my $line = <DATA>) {
  print "DATA $. $line";
}
__DATA__
first, from @out@/bin/plapp
second
