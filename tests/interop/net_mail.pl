# Perl's own Net::SMTP and Net::POP3: net_mail.pl CA SMTP POP3. A message in under STARTTLS,
# out again by POP3 under STLS, deleted, and really gone.
use strict;
use warnings;
use Net::SMTP;
use Net::POP3;

my ($ca, $smtp_port, $pop3_port) = @ARGV;
my @tls = (SSL_ca_file => $ca, SSL_verifycn_name => 'localhost');
my $subject = "by Net::SMTP $$";

my $smtp = Net::SMTP->new('127.0.0.1', Port => $smtp_port, Hello => 'perl.test', Timeout => 20)
  or die "no SMTP: $@";
$smtp->starttls(@tls) or die 'STARTTLS: ' . $smtp->message;
$smtp->supports('PIPELINING') // die 'no PIPELINING';
$smtp->mail('perl@else.test') or die 'MAIL: ' . $smtp->message;
!$smtp->to('nobody@here.test') && $smtp->code == 550 or die 'a stranger was taken';
$smtp->to('bob@here.test') or die 'RCPT: ' . $smtp->message;
$smtp->data("Subject: $subject\n", "\n", ".dot\n", "..\n", "last line\n") or die 'DATA: ' . $smtp->message;
$smtp->quit;

sub session {
  my $pop = Net::POP3->new('127.0.0.1', Port => $pop3_port, Timeout => 20) or die "no POP3: $@";
  $pop->starttls(@tls) or die 'STLS';
  defined $pop->login('bob@here.test', 'secret') or die 'login';
  return $pop;
}

sub number {
  my ($pop) = @_;
  for my $n (sort { $a <=> $b } keys %{ $pop->list }) {
    return $n if grep { /^Subject: \Q$subject\E\r?$/ } @{ $pop->top($n, 0) };
  }
  return;
}

my $pop = session();
my $n = number($pop) or die 'the message is not there';
my $text = join '', @{ $pop->get($n) };
$text =~ s/\r\n/\n/g;
$text =~ /\n\n\.dot\n\.\.\nlast line\n$/ or die "not as sent: $text";
my $octets = $pop->list($n);
(my $wire = $text) =~ s/\n/\r\n/g;
length($wire) == $octets or die "LIST says $octets, RETR gave " . length $wire;
my $uid = $pop->uidl($n);
$pop->delete($n) or die 'DELE';
$pop->reset;
$pop->quit;

$pop = session();
my $again = number($pop) or die 'RSET did not keep it';
$pop->uidl($again) eq $uid or die 'another unique id';
$pop->delete($again) or die 'DELE';
$pop->quit or die 'QUIT';
number(session()) and die 'it is still there';
print "ok\n";
