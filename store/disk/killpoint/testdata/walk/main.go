// Command walk passes two points and ends.
package main

import "gatehouse/store/disk/killpoint"

func main() {
	killpoint.At(killpoint.BlobKept)
	killpoint.At(killpoint.Agreed)
}
