package downstream

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/mail"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/firstcome/firstcome/pkg/event"
)

func TestEmail(t *testing.T) {
	t.Parallel()
	s := newSale(t, 5)
	s.topic(t, "email.dead-letters")
	m := newMailServer(t)
	m.open()
	p := m.start(s)

	users := []string{"nobody", "two words", "busy", "spam", "hung-up-on"}
	for n := range 20 {
		users = append(users, fmt.Sprint("user-", n))
	}
	for n, user := range users {
		s.ask(t, s.coupons[n%5], user)
	}
	m.awaits(len(users) - 3)
	s.wantLetters(t, "email.dead-letters", "nobody", "two words", "spam")
	if got := m.to("hung-up-on"); got != 1 {
		t.Errorf("%d mails to whose server hung up after it had taken one", got)
	}

	t.Log("the server goes away")
	m.close()
	for n := range 10 {
		s.ask(t, s.coupons[n%5], fmt.Sprint("meanwhile-", n))
	}
	p.says(t, "paused.*connection refused")
	m.open()
	m.awaits(len(users) - 3 + 10)

	t.Log("the program is killed before it hears that its mail was taken")
	s.ask(t, s.coupons[0], "last")
	<-m.holding
	p.kill()
	close(m.letGo)
	p = m.start(s)
	eventually(t, func() bool { return m.to("last") == 2 }, func() string { return fmt.Sprintf("%d mails to the last one, want 2", m.to("last")) })
	p.stop(t)
	s.wantLetters(t, "email.dead-letters", "nobody", "two words", "spam") // and nobody else
	m.wantMails(s.journal(t), "nobody", "two words", "spam")
}

// mailServer is an SMTP server that some mails make trouble at.
type mailServer struct {
	t       *testing.T
	config  *tls.Config
	ca      string // file
	address string
	server  *smtp.Server
	holding chan struct{} // closed once the last user's mail was taken and is not answered
	letGo   chan struct{} // closed to answer it

	mu    sync.Mutex
	busy  int
	taken [][]byte
}

func newMailServer(t *testing.T) *mailServer {
	m := &mailServer{t: t, holding: make(chan struct{}), letGo: make(chan struct{})}
	m.config, m.ca = identity(t)
	t.Cleanup(m.close)
	return m
}

func (m *mailServer) open() {
	m.t.Helper()
	l := listen(m.t, m.address)
	m.address = l.Addr().String()
	m.server = smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		return &session{server: m, connection: c}, nil
	}))
	m.server.Domain, m.server.TLSConfig = "mail.example", m.config
	go m.server.Serve(l)
}

func (m *mailServer) close() { _ = m.server.Close() }

func (m *mailServer) start(s *sale) *process {
	m.t.Helper()
	host, port, err := net.SplitHostPort(m.address)
	if err != nil {
		m.t.Fatal(err)
	}
	return start(m.t, "email", s.env("SMTP_USERNAME=shop", "SMTP_PASSWORD=secret", "SSL_CERT_FILE="+m.ca),
		"-host", host, "-port", port, "-from", "Shop <shop@firstcome.example>", "-domain", "people.example", "-wait", "10ms")
}

// session is one connection.
type session struct {
	server     *mailServer
	connection *smtp.Conn
	known      bool // by its password, which is told under TLS only
	to         string
}

func (s *session) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, username, password string) error {
		if username != "shop" || password != "secret" {
			return errors.New("wrong password")
		}
		s.known = true
		return nil
	}), nil
}

func (s *session) Mail(string, *smtp.MailOptions) error {
	if !s.known {
		return smtp.ErrAuthRequired
	}
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	s.to = to
	switch {
	case strings.HasPrefix(to, "nobody@"):
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such mailbox: " + to}
	case strings.HasPrefix(to, "busy@") && s.server.busy < 2:
		s.server.busy++
		return &smtp.SMTPError{Code: 450, EnhancedCode: smtp.EnhancedCode{4, 2, 1}, Message: "greylisted, come again: " + to}
	}
	return nil
}

func (s *session) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if strings.HasPrefix(s.to, "spam@") {
		return &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "we do not like it, " + s.to}
	}
	m := s.server
	m.mu.Lock()
	m.taken = append(m.taken, text)
	m.mu.Unlock()
	if strings.HasPrefix(s.to, "last@") {
		select {
		case <-m.letGo:
		default:
			close(m.holding)
			<-m.letGo
		}
	}
	return nil
}

// Reset comes after a mail that was taken, too.
func (s *session) Reset() {
	if strings.HasPrefix(s.to, "hung-up-on@") {
		_ = s.connection.Conn().Close()
	}
	s.to = ""
}

func (s *session) Logout() error { return nil }

// mails are those that were taken, by their Message-ID.
func (m *mailServer) mails() map[string][][]byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	mails := make(map[string][][]byte)
	for _, text := range m.taken {
		read, err := mail.ReadMessage(bytes.NewReader(text))
		if err != nil {
			m.t.Fatal(err)
		}
		id := read.Header.Get("Message-ID")
		mails[id] = append(mails[id], text)
	}
	return mails
}

// awaits returns once there are so many mails, those that came again not counted.
func (m *mailServer) awaits(want int) {
	m.t.Helper()
	got := 0
	eventually(m.t, func() bool {
		got = len(m.mails())
		return got >= want
	}, func() string { return fmt.Sprintf("%d mails of %d", got, want) })
}

// to counts the mails to a user.
func (m *mailServer) to(user string) (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, text := range m.taken {
		if bytes.Contains(text, []byte("To: <"+user+"@people.example>\r\n")) {
			n++
		}
	}
	return n
}

// wantMails holds that there is a mail for each grant but the dead letters', and for nothing else. One that came again has
// the same bytes.
func (m *mailServer) wantMails(journal [][]event.CouponGranted, buried ...string) {
	m.t.Helper()
	mails := m.mails()
	for _, g := range slices.Concat(journal...) {
		id := "<" + g.GrantID + "@firstcome.example>"
		copies := mails[id]
		delete(mails, id)
		if len(copies) == 0 != slices.Contains(buried, g.UserID) {
			m.t.Errorf("%d mails to %s", len(copies), g.UserID)
		}
		for _, text := range copies {
			m.wantMail(text, g)
			if !bytes.Equal(text, copies[0]) {
				m.t.Errorf("came again as\n%s, before as\n%s", text, copies[0])
			}
		}
	}
	if len(mails) > 0 {
		m.t.Errorf("mails for no grant: %q", mails)
	}
}

func (m *mailServer) wantMail(text []byte, g event.CouponGranted) {
	m.t.Helper()
	for _, want := range []string{"To: <" + g.UserID + "@people.example>\r\n", "From: \"Shop\" <shop@firstcome.example>\r\n",
		"Subject: You have coupon " + g.CouponID + "\r\n", fmt.Sprintf("number %d ", g.Sequence)} {
		if !bytes.Contains(text, []byte(want)) {
			m.t.Errorf("no %q in\n%s", want, text)
		}
	}
}
