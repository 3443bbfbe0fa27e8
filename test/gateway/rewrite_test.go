package gateway_test

import "flag"

var rewrite = flag.Bool("rewrite", false, "write what was said into the pages of docs that show it")
