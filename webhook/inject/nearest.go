package inject

// Nearest gives the candidate that takes the fewest edits to become name, and ""
// if even that one differs too much for a slip of the keyboard.
func Nearest(name string, candidates []string) string {
	best, fewest := "", max(2, len(name)/3)+1
	if len(name) > 100 {
		return ""
	}
	for _, candidate := range candidates {
		if n := edits(name, candidate); n < fewest {
			best, fewest = candidate, n
		}
	}
	return best
}

// edits is the Levenshtein distance in bytes.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
