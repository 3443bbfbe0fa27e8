package compare

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
)

// proxy stands before Redis and counts. A request that follows an answer on its connection begins a round trip: so it is the
// same for every strategy and every driver, and what is pipelined is one, as long as it fits into what a driver sends at a time.
type proxy struct {
	ln   net.Listener
	dial func() (net.Conn, error)

	trips, bytes atomic.Int64
	serving      sync.WaitGroup
	mu           sync.Mutex
	conns        map[net.Conn]struct{}
	closed       bool
}

func newProxy(dial func() (net.Conn, error)) (*proxy, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{ln: ln, dial: dial, conns: make(map[net.Conn]struct{})}
	p.serving.Go(p.accept)
	return p, nil
}

func (p *proxy) addr() string { return p.ln.Addr().String() }

// traffic is what has passed since the proxy was made.
type traffic struct{ trips, bytes int64 }

func (p *proxy) traffic() traffic { return traffic{p.trips.Load(), p.bytes.Load()} }

func (p *proxy) accept() {
	for {
		conn, err := p.ln.Accept()
		if err != nil {
			return
		}
		p.serving.Go(func() { p.serve(conn) })
	}
}

func (p *proxy) serve(client net.Conn) {
	defer p.end(client)
	server, err := p.dial()
	if err != nil {
		return
	}
	defer p.end(server)
	if !p.begin(client, server) {
		return
	}
	var asking atomic.Bool
	p.serving.Go(func() {
		p.pass(server, client, func() {
			if asking.CompareAndSwap(false, true) {
				p.trips.Add(1)
			}
		})
	})
	p.pass(client, server, func() { asking.Store(false) })
}

// pass copies until either side ends, then ends both. It counts before it writes: nobody has an answer that is not counted.
func (p *proxy) pass(to, from net.Conn, passing func()) {
	defer p.end(to)
	defer p.end(from)
	_, _ = io.Copy(counted{to, p, passing}, onlyReader{from})
}

// counted is one direction of a connection.
type counted struct {
	to      net.Conn
	p       *proxy
	passing func()
}

func (c counted) Write(b []byte) (int, error) {
	c.p.bytes.Add(int64(len(b)))
	c.passing()
	return c.to.Write(b)
}

// onlyReader keeps io.Copy from passing the counting by.
type onlyReader struct{ io.Reader }

func (p *proxy) begin(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range conns {
		p.conns[conn] = struct{}{}
	}
	return !p.closed
}

func (p *proxy) end(conn net.Conn) {
	conn.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, conn)
}

// close ends the connections too.
func (p *proxy) close() error {
	err := p.ln.Close()
	p.mu.Lock()
	p.closed = true
	for conn := range p.conns {
		conn.Close()
	}
	p.mu.Unlock()
	p.serving.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
