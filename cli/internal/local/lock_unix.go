//go:build unix

package local

import (
	"errors"
	"os"
	"syscall"
	"time"
)

// dying is how long a process that was killed at work may take to be gone: until then it has its lock.
const dying = 3 * time.Second

// lock fails where another process has it and keeps it. The kernel takes it back however a process dies.
func lock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return f, nil
		}
		if time.Since(began) > dying {
			return nil, errors.Join(err, f.Close())
		}
	}
}
