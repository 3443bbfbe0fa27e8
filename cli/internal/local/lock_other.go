//go:build !unix

package local

import "os"

// lock has nothing to lock with here; the servers' own folders keep a second process out.
func lock(path string) (*os.File, error) { return os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644) }
