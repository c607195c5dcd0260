// A Pub/Sub server in memory, on the address given: the fake of Google's own Go client.
package main

import (
	"os"

	"cloud.google.com/go/pubsub/v2/pstest"
)

func main() {
	server := pstest.NewServerWithAddress(os.Args[1])
	defer server.Close()
	select {}
}
