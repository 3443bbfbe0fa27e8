package downstream

import (
	"net"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// A host that answers nobody, as one that is down, makes the program wait: it is not the grants' fault.
func TestWebhook_HostDown(t *testing.T) {
	t.Parallel()
	s := newSale(t, 1)
	s.topic(t, "webhook.dead-letters")
	r := &receiver{t: t, address: silence(t)}
	_, r.ca = identity(t)
	s.ask(t, s.coupons[0], "ada")
	p := r.start(s)
	p.says(t, "paused.*i/o timeout")
	p.stop(t)
	s.wantLetters(t, "webhook.dead-letters")
}

// silence is an address at which connecting comes to nothing: whoever listens there has a full queue.
func silence(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	at, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(at.(*syscall.SockaddrInet4).Port))
	for range 10 {
		c, err := net.DialTimeout("tcp", address, time.Second)
		if err != nil {
			return address
		}
		t.Cleanup(func() { _ = c.Close() })
	}
	t.Fatal("its queue has no end")
	return ""
}
