package embedded

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Where data go that can't stay in the caller's folder, in order of preference; a variable for tests.
var otherPlaces = []string{"/var/lib/firstcome", filepath.Join(os.TempDir(), "firstcome-data")}

const (
	locationFile = "location"   // in the caller's folder: where the data are
	ownerFile    = "belongs-to" // beside the data: the caller's folder
)

// place finds the folder for the data of dir: dir itself where the account can enter it, else one elsewhere, which dir
// remembers.
func place(a account, dir string) (string, error) {
	if !a.other() {
		return dir, nil
	}
	location := filepath.Join(dir, locationFile)
	if text, err := os.ReadFile(location); err == nil {
		home := strings.TrimSpace(string(text))
		return home, settle(home, dir)
	}
	if err := os.Chmod(dir, 0o711); err != nil { // to pass through, not to look around
		return "", err
	}
	if a.canEnter(dir) {
		return dir, nil
	}
	base, err := otherPlace(a)
	if err != nil {
		return "", fmt.Errorf("%s can't enter %s: %w", a, dir, err)
	}
	sweep(base)
	home := filepath.Join(base, "postgres-"+strings.ToLower(newPassword()))
	// First the note, then the folder: a folder without its note is abandoned, and the next sweep takes it.
	if err := os.WriteFile(location, []byte(home+"\n"), 0o644); err != nil {
		return "", err
	}
	return home, settle(home, dir)
}

func settle(home, dir string) error {
	if err := mkdir(home); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(home, ownerFile), []byte(dir+"\n"), 0o644)
}

func otherPlace(a account) (string, error) {
	var problems []error
	for _, base := range otherPlaces {
		if err := mkdir(base); err != nil {
			problems = append(problems, err)
			continue
		}
		if a.canEnter(base) {
			return base, nil
		}
		problems = append(problems, fmt.Errorf("nor %s", base))
	}
	return "", errors.Join(problems...)
}

// sweep removes data whose folder was deleted or no longer names them, with the server that may still run on them.
func sweep(base string) {
	homes, _ := filepath.Glob(filepath.Join(base, "postgres-*"))
	for _, home := range homes {
		owner, err := os.ReadFile(filepath.Join(home, ownerFile))
		if err != nil {
			continue
		}
		note, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(owner)), locationFile))
		if err == nil && strings.TrimSpace(string(note)) == home || err != nil && !errors.Is(err, os.ErrNotExist) {
			continue
		}
		if (cluster{home: home}).stopOrphan() == nil {
			_ = os.RemoveAll(home)
		}
	}
}
