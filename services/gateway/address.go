package gateway

import (
	"errors"
	"net/http"
	"net/netip"
	"strings"
)

// Proxies are the networks whose machines are believed when they say, in X-Forwarded-For, for whom they ask.
type Proxies struct{ networks []netip.Prefix }

// UnmarshalText reads a comma list of networks (10.0.0.0/8) and addresses.
func (p *Proxies) UnmarshalText(list []byte) error {
	var networks []netip.Prefix
	for item := range strings.SplitSeq(string(list), ",") {
		item = strings.TrimSpace(item)
		if item == "" {
			continue
		}
		network, err := netip.ParsePrefix(item)
		if addr, addrErr := netip.ParseAddr(item); addrErr == nil {
			network, err = netip.PrefixFrom(addr.WithZone(""), addr.BitLen()), nil
		}
		if err != nil {
			return errors.New("must be a comma list of networks such as 10.0.0.0/8, or addresses")
		}
		if addr := network.Addr(); addr.Is4In6() && network.Bits() >= 96 {
			network = netip.PrefixFrom(addr.Unmap(), network.Bits()-96)
		}
		networks = append(networks, network.Masked())
	}
	p.networks = networks
	return nil
}

func (p Proxies) contain(a netip.Addr) bool {
	for _, n := range p.networks {
		if n.Contains(a) {
			return true
		}
	}
	return false
}

// Client is the address that a request came from: that of the connection, unless a trusted proxy has it. Then it is the
// right-most of X-Forwarded-For that is no trusted proxy: each proxy adds on the right, so what stands left of it is
// hearsay. At an entry that cannot be read the machine that sent it counts, so that nobody chooses whom they pass for.
func (p Proxies) Client(r *http.Request) netip.Addr {
	connection, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{} // no TCP: all of them are one
	}
	client := plain(connection.Addr())
	if !p.contain(client) {
		return client
	}
	entries := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(entries) - 1; i >= 0 && p.contain(client); i-- {
		next, ok := forwarded(strings.TrimSpace(entries[i]))
		if !ok {
			break
		}
		client = next
	}
	return client
}

// forwarded reads an entry: an address, some proxies add the port.
func forwarded(entry string) (netip.Addr, bool) {
	if addr, err := netip.ParseAddr(entry); err == nil {
		return plain(addr), true
	}
	if withPort, err := netip.ParseAddrPort(entry); err == nil {
		return plain(withPort.Addr()), true
	}
	return netip.Addr{}, false
}

func plain(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

// askerAt is whom an address stands for: of IPv6 the network of 64 bits, which is the least that anybody is given.
func askerAt(a netip.Addr) askerID {
	if a.Is6() {
		network, _ := a.Prefix(64)
		return network.Addr().As16()
	}
	if !a.IsValid() {
		return askerID{}
	}
	return a.As16()
}
