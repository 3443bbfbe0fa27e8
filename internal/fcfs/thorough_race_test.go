//go:build race

package fcfs

func thorough() bool { return false }
