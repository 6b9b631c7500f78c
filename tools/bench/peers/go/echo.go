// SPDX-License-Identifier: MIT

package main

import (
	"net"
	"strconv"
)

func serve(connection net.Conn) {
	buffer := make([]byte, 4096)

	defer connection.Close()
	for {
		size, err := connection.Read(buffer)
		if err != nil {
			return // the end, or the reset with which the load ends
		}
		if _, err = connection.Write(buffer[:size]); err != nil {
			return
		}
	}
}

// echo serves on a port of the loopback, a goroutine per connection, until it is killed.  The net
// package sets TCP_NODELAY itself.
func echo(port int) []figure {
	listener, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
	if err != nil {
		fail("listen: %v", err)
	}
	for {
		connection, err := listener.Accept()
		if err != nil {
			fail("accept: %v", err)
		}
		go serve(connection)
	}
}
