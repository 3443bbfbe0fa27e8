//go:build race

package redisstore_test

func thorough() bool { return false }
