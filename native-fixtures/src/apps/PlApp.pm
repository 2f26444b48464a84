package PlApp;
use strict;
use warnings;
use Exporter 'import';
use POSIX qw(floor);
our @EXPORT_OK = qw(greeting);

sub greeting { return 'PlApp ' . floor(1.5) }

1;
