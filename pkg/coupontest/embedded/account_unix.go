//go:build linux || darwin

package embedded

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// account runs initdb and the server: our own, or another where we are root, since Postgres refuses root.
type account struct {
	uid, gid uint32
	switched bool
}

func (a account) String() string { return fmt.Sprintf("user %d", a.uid) }

// other tells whether it is not the account of this process.
func (a account) other() bool { return a.switched }

// accountFor chooses the account: for root the owner of the data where there are any, else nobody. (initdb wants a name for
// it, so an arbitrary number will not do.)
func accountFor(data string) (account, error) {
	if os.Geteuid() != 0 {
		return account{uid: uint32(os.Geteuid()), gid: uint32(os.Getegid())}, nil
	}
	if info, err := os.Stat(data); err == nil {
		if owner, ok := info.Sys().(*syscall.Stat_t); ok && owner.Uid != 0 {
			return account{uid: owner.Uid, gid: owner.Gid, switched: true}, nil
		}
	}
	for _, name := range []string{"nobody", "postgres", "daemon"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseInt(u.Uid, 10, 64) // macOS writes nobody as -2
		gid, err2 := strconv.ParseInt(u.Gid, 10, 64)
		if err1 == nil && err2 == nil && uid != 0 {
			return account{uid: uint32(uid), gid: uint32(gid), switched: true}, nil
		}
	}
	return account{}, errors.New("root can't run Postgres, and this machine has no user nobody, postgres or daemon that could")
}

// runAs makes cmd run under the account.
func (a account) runAs(cmd *exec.Cmd) {
	if a.switched {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: a.uid, Gid: a.gid}}
	}
}

// own gives files to the account.
func (a account) own(paths ...string) error {
	if !a.switched {
		return nil
	}
	for _, path := range paths {
		if err := os.Chown(path, int(a.uid), int(a.gid)); err != nil {
			return err
		}
	}
	return nil
}

// canEnter tells whether the account can reach what lies in the folder.
func (a account) canEnter(dir string) bool {
	for ; ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil {
			return false
		}
		owner, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			return false
		}
		mode := info.Mode().Perm()
		switch {
		case owner.Uid == a.uid:
			mode >>= 6
		case owner.Gid == a.gid:
			mode >>= 3
		}
		if mode&1 == 0 {
			return false
		}
		if dir == filepath.Dir(dir) {
			return true
		}
	}
}

// ours tells whether a file belongs to this process's account: in a folder that all may write to, another may have put it.
func ours(info os.FileInfo) bool {
	owner, ok := info.Sys().(*syscall.Stat_t)
	return ok && owner.Uid == uint32(os.Geteuid())
}
