// Package vectors reads and writes vectors as those who compare
// nearest-neighbour searches exchange them: .fvecs for vectors, .ivecs for the
// numbers of their neighbours. Each row is its number of values, a 32-bit integer
// in little-endian order, then the values, 32 bits each
// (http://corpus-texmex.irisa.fr); all rows have as many.
//
// A reader never trusts a file: what it says of itself is checked against its
// size before anything is made for it. It judges no value: NaN is read as NaN.
package vectors
