package coupontest

import "context"

var containersKind = kind{name: "containers"}

func removeContainers(context.Context, string) error { return nil }
