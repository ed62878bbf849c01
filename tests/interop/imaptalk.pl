# Mail::IMAPTalk against a running server: CA-FILE IMAPS-PORT.
use strict; use warnings; use Mail::IMAPTalk; use IO::Socket::SSL;
my ($ca, $port) = @ARGV;
my $socket = IO::Socket::SSL->new(PeerAddr => 'localhost', PeerPort => $port, SSL_ca_file => $ca) or die "tls: $SSL_ERROR";
my $imap = Mail::IMAPTalk->new(Socket => $socket, Username => 'bob@here.test', Password => 'secret', Uid => 1) or die "login: $@";
sub ok { my ($what, $fine) = @_; die "$what: " . ($imap->get_last_error // '') . "\n" unless $fine }
ok(capability => $imap->capability->{condstore});
ok(namespace => $imap->namespace);
ok(create => $imap->create('Talk'));
my $message = "From: Ann <a\@x.test>\r\nSubject: =?utf-8?q?caf=C3=A9?=\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
  . "--b\r\n\r\nplain\r\n--b\r\nContent-Type: image/png; name=x.png\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n--b--\r\n";
ok(append => $imap->append('Talk', '(\Seen)', { 'Literal' => $message })) for 1 .. 3;
ok(select => $imap->select('Talk'));
ok(exists => $imap->get_response_code('exists') == 3);
my $search = $imap->search('subject', { Quote => 'caf' });
ok(search => ref $search && @$search >= 0);
my $sorted = $imap->sort('(reverse date)', 'utf-8', 'all');
ok(sort => @$sorted == 3);
my $thread = $imap->thread('references', 'utf-8', 'all');
ok(thread => @$thread);
my $fetched = $imap->fetch('1:*', '(flags envelope bodystructure rfc822.size body.peek[1] binary.peek[2])');
ok(fetch => keys %$fetched == 3);
my $one = $fetched->{1};
ok(envelope => $one->{envelope}{Subject} eq "caf\x{e9}" || $one->{envelope}{Subject} =~ /caf/);
ok(structure => $one->{bodystructure}{'MIME-Subparts'}[1]{'Content-Type'}{name} eq 'x.png');
ok(body => $one->{body} eq 'plain' || $one->{'body[1]'} // '' eq 'plain');
ok(store => $imap->store('1', '+flags', '(\Flagged $Label)'));
ok(flags => grep { $_ eq '$Label' } @{ $imap->fetch('1', 'flags')->{1}{flags} });
ok(copy => $imap->copy('1', 'Archive'));
ok(store => $imap->store('2', '+flags', '(\Deleted)'));
ok(expunge => $imap->uidexpunge('2'));
ok(status => ($imap->status('Talk', '(messages uidnext)'))->{messages} == 2);
ok(metadata => $imap->setannotation('', '/x', ['value', undef]) || 1);
ok(unselect => $imap->unselect);
ok(delete => $imap->delete('Talk'));
ok(logout => $imap->logout);
