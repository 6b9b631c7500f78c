// SPDX-License-Identifier: MIT

package main

import (
	"sync"
	"time"
)

const (
	batch       = 1000
	skynetWidth = 10
)

// spawn starts empty goroutines in batches, waiting for each batch.  The wait group is the count
// of those that ran.
func spawn(n, size int) float64 {
	var group sync.WaitGroup
	began := time.Now()

	for done := 0; done < n; done += size {
		group.Add(size)
		for i := 0; i < size; i++ {
			go group.Done()
		}
		group.Wait()
	}
	return per(began, n)
}

func spawnBatch(n int) []figure {
	batches := n / batch
	if batches == 0 {
		batches = 1
	}
	spawn((batches/10+1)*batch, batch)
	return only(spawn(batches*batch, batch), "ns")
}

func spawnAll(n int) []figure {
	spawn(n, n)
	return only(spawn(n, n), "ns")
}

// fibTask spawns the left branch and calls the right one.  (A wait group; a channel for the result
// is slower.)
func fibTask(n int) int {
	if n < 2 {
		return n
	}

	var group sync.WaitGroup
	var left int

	group.Add(1)
	go func() {
		left = fibTask(n - 1)
		group.Done()
	}()
	right := fibTask(n - 2)
	group.Wait()
	return left + right
}

func fibCall(n int) int {
	a, b := 0, 1
	for ; n > 0; n-- {
		a, b = b, a+b
	}
	return a
}

func fibOnce(n int) float64 {
	began := time.Now()
	result := fibTask(n)
	ns := per(began, fibCall(n+1)-1)

	if result != fibCall(n) {
		fail("fib(%d) = %d", n, result)
	}
	return ns
}

func fib(n int) []figure {
	fibOnce(n)
	return only(fibOnce(n), "ns")
}

func skynetTask(number, size int) int {
	if size == 1 {
		return number
	}

	var sums [skynetWidth]int
	var group sync.WaitGroup

	size /= skynetWidth
	group.Add(skynetWidth)
	for i := 0; i < skynetWidth; i++ {
		go func(i int) {
			sums[i] = skynetTask(number+i*size, size)
			group.Done()
		}(i)
	}
	group.Wait()

	sum := 0
	for _, part := range sums {
		sum += part
	}
	return sum
}

func skynetOnce(leaves int) float64 {
	began := time.Now()
	sum := skynetTask(0, leaves)
	ms := float64(time.Since(began).Nanoseconds()) / 1e6

	if sum != leaves*(leaves-1)/2 {
		fail("the sum is %d", sum)
	}
	return ms
}

func skynet(leaves int) []figure {
	skynetOnce(leaves)
	return only(skynetOnce(leaves), "ms")
}
