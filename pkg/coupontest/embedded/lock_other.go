//go:build !linux && !darwin

package embedded

// folderLock does nothing here: keeping two processes out of one folder is left to the person who starts them.
type folderLock struct{}

func lockFolder(dir string) (*folderLock, error) { return &folderLock{}, mkdir(dir) }

func (*folderLock) release() {}
