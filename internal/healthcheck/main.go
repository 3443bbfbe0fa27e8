// Command healthcheck asks one of the services' admin addresses and exits 0 where it answers 200. The services' images
// hold nothing but their program, so it stands in for curl: healthcheck http://127.0.0.1:9080/readyz
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: healthcheck URL")
		os.Exit(2)
	}
	if err := check(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// check gives what the service says of itself, so that `docker inspect` tells what it waits for.
func check(url string) error {
	const patience, most = 3 * time.Second, 4 << 10
	client := http.Client{Timeout: patience}
	res, err := client.Get(url)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusOK {
		return nil
	}
	body, _ := io.ReadAll(io.LimitReader(res.Body, most))
	return fmt.Errorf("%s: %s", res.Status, body)
}
