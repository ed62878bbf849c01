# Mail::IMAPClient against a running server: CA-FILE IMAPS-PORT.
use strict; use warnings; use Mail::IMAPClient;
my ($ca, $port) = @ARGV;
my $imap = Mail::IMAPClient->new(Server => 'localhost', Port => $port, User => 'bob@here.test',
  Password => 'secret', Ssl => [SSL_ca_file => $ca], Uid => 1) or die "login: $@";
sub ok { my ($what, $fine) = @_; die "$what: " . ($imap->LastError // '') . "\n" unless $fine }
ok(create => $imap->create('Perl'));
my $uid = $imap->append_string('Perl', "Subject: perl\r\n\r\nbody\r\n", '\Seen');
ok(append => $uid && $uid == 1);
ok(select => $imap->select('Perl'));
ok(count => $imap->message_count == 1);
ok(search => ($imap->search('SUBJECT', 'perl'))[0] == 1);
ok(sort => ($imap->sort('(SUBJECT)', 'UTF-8', 'ALL'))[0] == 1);
ok(body => $imap->body_string(1) =~ /body/);
ok(structure => $imap->get_bodystructure(1));
ok(envelope => $imap->get_envelope(1));
ok(flags => $imap->set_flag('Flagged', 1));
ok(flagged => grep { $_ eq '\Flagged' } $imap->flags(1));
ok(copy => $imap->copy('Archive', 1));
ok(move => $imap->move('Trash', 1));
ok(expunge => $imap->expunge);
ok(idle => my $tag = $imap->idle);
ok(done => $imap->done($tag));
ok(close => $imap->close);
ok(delete => $imap->delete('Perl'));
ok(logout => $imap->logout);
