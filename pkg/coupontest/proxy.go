package coupontest

import (
	"context"
	"io"
	"net"
	"sync"
)

// proxy stands before a server that a test has alone. It keeps the address while the server behind comes and goes, and can
// hold back what passes, as a frozen server or a network that swallows packets would.
type proxy struct {
	wg sync.WaitGroup

	mu     sync.Mutex
	ln     net.Listener // closed while the server behind is dead
	target string
	conns  map[net.Conn]struct{}
	closed bool
	open   chan struct{} // closed while bytes may pass
}

func newProxy() (*proxy, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{ln: ln, conns: map[net.Conn]struct{}{}, open: make(chan struct{})}
	close(p.open)
	p.wg.Go(func() { p.accept(ln) })
	return p, nil
}

func (p *proxy) addr() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ln.Addr().String()
}

// direct says where connections lead from now on.
func (p *proxy) direct(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}

// die ends the connections there are and refuses others, as a dead server does.
func (p *proxy) die() {
	p.mu.Lock()
	p.ln.Close()
	p.mu.Unlock()
	p.cut()
}

// live takes connections for a server that is back. It waits for the port: somebody's end of a connection may have it.
func (p *proxy) live(ctx context.Context, target string) error {
	p.direct(target)
	return await(ctx, func(context.Context) error {
		ln, err := net.Listen("tcp", p.addr())
		if err != nil {
			return err
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.ln = ln
		p.wg.Go(func() { p.accept(ln) })
		return nil
	})
}

func (p *proxy) accept(ln net.Listener) {
	for {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.serve(conn) })
	}
}

func (p *proxy) serve(client net.Conn) {
	defer p.end(client)
	if !p.begin(client) {
		return
	}
	p.mu.Lock()
	target := p.target
	p.mu.Unlock()
	server, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer p.end(server)
	if !p.begin(server) {
		return
	}
	p.wg.Go(func() { p.pass(server, client) })
	p.pass(client, server)
}

// pass copies until either side ends, then ends both: none of the servers speaks on half a connection.
func (p *proxy) pass(to, from net.Conn) {
	_, _ = io.Copy(gated{p, to}, from)
	p.end(to)
	p.end(from)
}

// gated writes when the gate is open.
type gated struct {
	p  *proxy
	to net.Conn
}

func (g gated) Write(b []byte) (int, error) {
	g.p.mu.Lock()
	open := g.p.open
	g.p.mu.Unlock()
	<-open
	return g.to.Write(b)
}

func (p *proxy) begin(conn net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.conns[conn] = struct{}{}
	return true
}

func (p *proxy) end(conn net.Conn) {
	conn.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, conn)
}

// hold keeps everything back until release; connections stay open.
func (p *proxy) hold() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.open:
		p.open = make(chan struct{})
	default:
	}
}

func (p *proxy) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.open:
	default:
		close(p.open)
	}
}

// cut ends the connections there are, as a server that dies does.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.conns {
		conn.Close()
	}
}

func (p *proxy) close() {
	p.mu.Lock()
	p.closed = true
	p.ln.Close()
	p.mu.Unlock()
	p.release()
	p.cut()
	p.wg.Wait()
}
