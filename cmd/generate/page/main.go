// Command page writes the page of the API from openapi.yaml. `make generate`
// runs it in the root of the repository; `make lint` fails where its output is
// not what is checked in.
//
// It must never write what its input does not say: the same input gives the
// same bytes.
package main

import (
	"fmt"
	"os"
)

func main() {
	if err := page("appliance/api/openapi.yaml", "appliance/api/api.html"); err != nil {
		fmt.Fprintln(os.Stderr, "generate page:", err)
		os.Exit(1)
	}
}

func page(from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	html, err := render(b)
	if err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	return os.WriteFile(to, html, 0o644)
}
