// SPDX-License-Identifier: MIT

package main

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// sleepAll gives the CPU seconds that n sleepers cost and the 99th percentile of their lateness in
// us.
func sleepAll(late []float32) (seconds, p99 float64) {
	for i := range late {
		late[i] = -1
	}
	used := cpu()

	all(len(late), func(i int) {
		due := time.Now().Add(sleepFor(i))
		time.Sleep(time.Until(due))
		late[i] = float32(time.Since(due).Nanoseconds()) / 1e3
	})

	seconds = (cpu() - used).Seconds()
	p99 = quantile(late, 0.99)
	if late[0] < 0 {
		fail("a sleeper woke %g us early, or never", -late[0])
	}
	return seconds, p99
}

func sleepers(n int) []figure {
	late := make([]float32, n)
	cold, coldLate := sleepAll(late)
	warm, warmLate := sleepAll(late)

	return []figure{{"cpu", warm, "s"}, {"p99", warmLate, "us"},
		{"cpu_cold", cold, "s"}, {"p99_cold", coldLate, "us"}}
}

// parkAll gives the bytes per goroutine that waits for one event (a channel's close), and the ns
// from the event until all have ended, per goroutine.
func parkAll(n int) (bytes, ns float64) {
	var group sync.WaitGroup
	var waiting int64
	gate := make(chan struct{})
	before := procNumber("VmRSS:")

	group.Add(n)
	for i := 0; i < n; i++ {
		go func() {
			atomic.AddInt64(&waiting, 1)
			<-gate
			group.Done()
		}()
	}
	for atomic.LoadInt64(&waiting) < int64(n) {
		runtime.Gosched()
	}
	bytes = float64(procNumber("VmRSS:")-before) * 1024 / float64(n)

	began := time.Now()
	close(gate)
	group.Wait()
	return bytes, per(began, n)
}

func parked(n int) []figure {
	bytes, _ := parkAll(n)
	_, ns := parkAll(n)

	return []figure{{"bytes", bytes, "B"}, {"wake", ns, "ns"}}
}

// postAndWait is the workload wake.  The plain thread is a goroutine locked to a thread of its
// own, which is as near as Go comes to one; it needs one of the processors that GOMAXPROCS allows
// while it runs.
func postAndWait(n int) (us, cpuUs float64) {
	to, fro := make(chan int, 1), make(chan int, 1)

	go func() {
		for i := 0; i < n; i++ {
			fro <- <-to
		}
	}()

	done := make(chan bool)
	go func() {
		runtime.LockOSThread()
		began, used := time.Now(), cpu()
		for i := 0; i < n; i++ {
			to <- i
			if got := <-fro; got != i {
				fail("answer %d instead of %d", got, i)
			}
		}
		us = per(began, n) / 1e3
		cpuUs = float64((cpu() - used).Nanoseconds()) / 1e3 / float64(n)
		done <- true
	}()
	<-done
	return us, cpuUs
}

func wake(n int) []figure {
	postAndWait(n/10 + 1)
	us, cpuUs := postAndWait(n)

	return []figure{{"time", us, "us"}, {"cpu", cpuUs, "us"}}
}
