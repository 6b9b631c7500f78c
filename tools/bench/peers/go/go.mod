module latchwork/bench

go 1.19
