package redisstore

import (
	"context"
	"crypto/sha1"
	_ "embed"
	"encoding/hex"

	"github.com/redis/go-redis/v9"
)

//go:embed decide.lua
var decideSource string

//go:embed restore.lua
var restoreSource string

//go:embed load.lua
var loadSource string

//go:embed definitions.lua
var definitionsSource string

//go:embed windows.lua
var windowsSource string

type script struct{ source, sha string }

func newScript(source string) script {
	sum := sha1.Sum([]byte(source))
	return script{source, hex.EncodeToString(sum[:])}
}

var (
	decideScript      = newScript(decideSource)
	restoreScript     = newScript(restoreSource)
	loadScript        = newScript(loadSource)
	definitionsScript = newScript(definitionsSource)
	windowsScript     = newScript(windowsSource)
)

// call is the keys and arguments of one script call.
type call struct {
	keys []string
	args []any
}

func (c *call) key(keys ...string) { c.keys = append(c.keys, keys...) }
func (c *call) arg(args ...any)    { c.args = append(c.args, args...) }

// flag is how the scripts read a truth.
func flag(b bool) string {
	if b {
		return "1"
	}
	return "0"
}

func noScript(err error) bool { return redis.HasErrorPrefix(err, "NOSCRIPT") }

// run calls one script. Redis may forget scripts at any time; one that it does not know has done nothing.
func (s script) run(ctx context.Context, r redis.UniversalClient, c call) *redis.Cmd {
	cmd := r.EvalSha(ctx, s.sha, c.keys, c.args...)
	if noScript(cmd.Err()) {
		return r.Eval(ctx, s.source, c.keys, c.args...)
	}
	return cmd
}

// pipeline makes the calls in order over one connection, in one round trip: all their keys are in one slot. Where Redis
// has forgotten the script, the first of them brings it again.
func (s script) pipeline(ctx context.Context, r redis.UniversalClient, calls []call) []*redis.Cmd {
	cmds := s.send(ctx, r, calls, false)
	for i, cmd := range cmds {
		if noScript(cmd.Err()) {
			return append(cmds[:i:i], s.send(ctx, r, calls[i:], true)...)
		}
	}
	return cmds
}

func (s script) send(ctx context.Context, r redis.UniversalClient, calls []call, whole bool) []*redis.Cmd {
	pipe := r.Pipeline()
	cmds := make([]*redis.Cmd, len(calls))
	for i, c := range calls {
		if whole && i == 0 {
			cmds[i] = pipe.Eval(ctx, s.source, c.keys, c.args...)
		} else {
			cmds[i] = pipe.EvalSha(ctx, s.sha, c.keys, c.args...)
		}
	}
	_, _ = pipe.Exec(ctx) // each command has its own error
	return cmds
}
