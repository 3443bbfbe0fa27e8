module github.com/firstcome/firstcome/cli

go 1.26
