// Package integration is how a system beside Firstcome is tested against it: one that publishes claims, one that consumes
// grants, and both at once. docs/testing.md shows these files. Nothing of this repository is needed but its packages.
package integration
