// SPDX-License-Identifier: MIT

package main

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

const (
	pairs    = 4
	capacity = 128
	many     = 1000
)

// all runs fn(i) in so many goroutines and waits for them.
func all(count int, fn func(i int)) {
	var group sync.WaitGroup

	group.Add(count)
	for i := 0; i < count; i++ {
		go func(i int) {
			fn(i)
			group.Done()
		}(i)
	}
	group.Wait()
}

func yields(count, each int) float64 {
	var done int64
	began := time.Now()

	all(count, func(int) {
		i := 0
		for ; i < each; i++ {
			runtime.Gosched()
		}
		atomic.AddInt64(&done, int64(i))
	})

	ns := per(began, count*each)
	if done != int64(count*each) {
		fail("%d of %d yields", done, count*each)
	}
	return ns
}

func yield2(n int) []figure {
	yields(2, n/20)
	return only(yields(2, n/2), "ns")
}

func yield1000(n int) []figure {
	yields(many, n/(10*many)+1)
	return only(yields(many, n/many), "ns")
}

func roundTrips(n int) float64 {
	to, fro := make(chan int), make(chan int)
	began := time.Now()

	all(2, func(side int) {
		for i := 0; i < n; i++ {
			var got int
			if side == 0 {
				to <- i
				got = <-fro
			} else {
				got = <-to
				fro <- got
			}
			if got != i {
				fail("token %d instead of %d", got, i)
			}
		}
	})
	return per(began, n)
}

func pingpong(n int) []figure {
	roundTrips(n/10 + 1)
	return only(roundTrips(n), "ns")
}

func messages(n int) float64 {
	var sum uint64
	line := make(chan uint64, capacity)
	each := n / pairs
	began := time.Now()

	all(2*pairs, func(i int) {
		if i < pairs {
			for sent := 1; sent <= each; sent++ {
				line <- uint64(sent)
			}
			return
		}

		mine := uint64(0)
		for received := 0; received < each; received++ {
			mine += <-line
		}
		atomic.AddUint64(&sum, mine)
	})

	ns := per(began, each*pairs)
	if sum != uint64(each)*uint64(each+1)/2*pairs {
		fail("the sum of the messages is wrong")
	}
	return ns
}

func channel(n int) []figure {
	messages(n/10 + pairs)
	return only(messages(n), "ns")
}
