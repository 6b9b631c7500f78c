// SPDX-License-Identifier: MIT

package main

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	crowd = 64
	keys  = 64
)

// locked counts to n, each time by a call of step, in so many goroutines; it is given the counter.
func locked(count, each int, step func(each int, counter *int)) float64 {
	counter := 0
	began := time.Now()

	all(count, func(int) { step(each, &counter) })

	ns := per(began, count*each)
	if counter != count*each {
		fail("counted %d instead of %d", counter, count*each)
	}
	return ns
}

// counts warms up and measures.
func counts(count, n int, step func(each int, counter *int)) []figure {
	locked(count, n/count/10+1, step)
	return only(locked(count, n/count, step), "ns")
}

// Each lock has a loop of its own, with direct calls in it.

func underMutex() func(int, *int) {
	var mutex sync.Mutex

	return func(each int, counter *int) {
		for i := 0; i < each; i++ {
			mutex.Lock()
			*counter++
			mutex.Unlock()
		}
	}
}

// underSemaphore takes the one place that a channel has.
func underSemaphore() func(int, *int) {
	semaphore := make(chan struct{}, 1)

	return func(each int, counter *int) {
		for i := 0; i < each; i++ {
			semaphore <- struct{}{}
			*counter++
			<-semaphore
		}
	}
}

func underRead() func(int, *int) {
	var lock sync.RWMutex

	return func(each int, counter *int) {
		for i := 0; i < each; i++ {
			lock.RLock()
			*counter++
			lock.RUnlock()
		}
	}
}

func underWrite() func(int, *int) {
	var lock sync.RWMutex

	return func(each int, counter *int) {
		for i := 0; i < each; i++ {
			lock.Lock()
			*counter++
			lock.Unlock()
		}
	}
}

func mutex1(n int) []figure        { return counts(1, n, underMutex()) }
func mutex64(n int) []figure       { return counts(crowd, n, underMutex()) }
func semaphore1(n int) []figure    { return counts(1, n, underSemaphore()) }
func semaphore64(n int) []figure   { return counts(crowd, n, underSemaphore()) }
func rwlockRead1(n int) []figure   { return counts(1, n, underRead()) }
func rwlockWrite1(n int) []figure  { return counts(1, n, underWrite()) }
func rwlockWrite64(n int) []figure { return counts(crowd, n, underWrite()) }

// table is struct bench_table of common/bench.h.
type table struct {
	numbers, again [keys]int
}

func (t *table) lookUp(key uint64) {
	if t.numbers[key%keys] != t.again[key%keys] {
		fail("a write is half done")
	}
}

// readMostly is the time of an operation on a table, of which so many in a hundred read.
func readMostly(reads uint64, each int) float64 {
	var lock sync.RWMutex
	var shared table
	var writes int64
	began := time.Now()

	all(crowd, func(number int) {
		state, mine := uint64(number)+1, 0
		for i := 0; i < each; i++ {
			state ^= state << 13
			state ^= state >> 7
			state ^= state << 17
			if (state>>32)%100 >= reads {
				lock.Lock()
				shared.numbers[state%keys]++
				shared.again[state%keys]++
				lock.Unlock()
				mine++
			} else {
				lock.RLock()
				shared.lookUp(state)
				lock.RUnlock()
			}
		}
		atomic.AddInt64(&writes, int64(mine))
	})

	ns := per(began, crowd*each)
	sum := 0
	for key, number := range shared.numbers {
		shared.lookUp(uint64(key))
		sum += number
	}
	if sum != int(writes) {
		fail("%d of %d writes", sum, writes)
	}
	return ns
}

func rwlock95(n int) []figure {
	readMostly(95, n/crowd/10+1)
	return only(readMostly(95, n/crowd), "ns")
}

func rwlock99(n int) []figure {
	readMostly(99, n/crowd/10+1)
	return only(readMostly(99, n/crowd), "ns")
}

// inTurn is the time of a round trip between two goroutines that wait for each other's signal.
func inTurn(rounds int) float64 {
	var mutex sync.Mutex
	turn := 0 // the one whose number is turn % 2 is to go on
	mine := [2]*sync.Cond{sync.NewCond(&mutex), sync.NewCond(&mutex)}
	began := time.Now()

	all(2, func(number int) {
		for i := 0; i < rounds; i++ {
			mutex.Lock()
			for turn%2 != number {
				mine[number].Wait()
			}
			turn++
			mine[1-number].Signal()
			mutex.Unlock()
		}
	})

	ns := per(began, rounds)
	if turn != 2*rounds {
		fail("%d of %d turns", turn, 2*rounds)
	}
	return ns
}

func condition(n int) []figure {
	inTurn(n/10 + 1)
	return only(inTurn(n), "ns")
}

func runs(n int) float64 {
	var once sync.Once
	counter := 0
	began := time.Now()

	for i := 0; i < n; i++ {
		once.Do(func() { counter++ })
	}

	ns := per(began, n)
	if counter != 1 {
		fail("done %d times", counter)
	}
	return ns
}

func once1(n int) []figure {
	runs(n/10 + 1)
	return only(runs(n), "ns")
}
