// SPDX-License-Identifier: MIT

package main

import "time"

// consume receives n messages by select and gives their sum.
type consume func(lines []chan uint64, n int) uint64

func selectFrom2(lines []chan uint64, n int) (sum uint64) {
	a, b := lines[0], lines[1]

	for i := 0; i < n; i++ {
		select {
		case got := <-a:
			sum += got
		case got := <-b:
			sum += got
		}
	}
	return sum
}

func selectFrom4(lines []chan uint64, n int) (sum uint64) {
	a, b, c, d := lines[0], lines[1], lines[2], lines[3]

	for i := 0; i < n; i++ {
		select {
		case got := <-a:
			sum += got
		case got := <-b:
			sum += got
		case got := <-c:
			sum += got
		case got := <-d:
			sum += got
		}
	}
	return sum
}

// selectWithin sets one timer again for each select; a new one each time is slower.
func selectWithin(lines []chan uint64, n int) (sum uint64) {
	a, b := lines[0], lines[1]
	timer := time.NewTimer(time.Minute)
	defer timer.Stop()

	for i := 0; i < n; i++ {
		timer.Reset(time.Minute)
		select {
		case got := <-a:
			sum += got
		case got := <-b:
			sum += got
		case <-timer.C:
			fail("nothing came")
		}
	}
	return sum
}

// selected has a producer for each channel, and one consumer.
func selected(n, count int, consumer consume) float64 {
	var sum uint64
	lines := make([]chan uint64, count)
	each := n / count

	for i := range lines {
		lines[i] = make(chan uint64, capacity)
	}
	began := time.Now()
	all(count+1, func(i int) {
		if i == count {
			sum = consumer(lines, each*count)
			return
		}
		for sent := 1; sent <= each; sent++ {
			lines[i] <- uint64(sent)
		}
	})

	ns := per(began, each*count)
	if sum != uint64(each)*uint64(each+1)/2*uint64(count) {
		fail("the sum of the messages is wrong")
	}
	return ns
}

func select2(n int) []figure {
	selected(n/10+2, 2, selectFrom2)
	return only(selected(n, 2, selectFrom2), "ns")
}

func select4(n int) []figure {
	selected(n/10+4, 4, selectFrom4)
	return only(selected(n, 4, selectFrom4), "ns")
}

func select2Timeout(n int) []figure {
	selected(n/10+2, 2, selectWithin)
	return only(selected(n, 2, selectWithin), "ns")
}
