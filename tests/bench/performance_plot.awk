# Draws docs/performance.tsv: awk -f performance_plot.awk docs/performance.tsv >docs/performance.svg
#
# A row for each aim: what larder does for what its limit or peer does, on a scale of ratios; a dot for each round, a diamond
# for the ratio of the medians, a bar where the floor is and one where the goal is. No script, no font but the reader's own.

BEGIN {
    FS = "\t"
    left = 300; width = 520; top = 46; step = 30; most = 2.5
    # label, ours, what, theirs, what, floor, goal, factor
    aim("read, 1 thread, to sol-indirect", "larder", "get1", "sol-indirect", "get1", 0.65, 0.80)
    aim("read, 2 threads", "larder", "get2", "sol-indirect", "get2", 0.65, 0.80)
    aim("huge pages, 1 thread", "larder-huge", "get1", "sol-indirect-huge", "get1", 0.65, 0.80)
    aim("huge pages, 2 threads", "larder-huge", "get2", "sol-indirect-huge", "get2", 0.65, 0.80)
    aim("TTL 1 h, 1 thread", "larder-ttl", "get1", "sol-indirect", "get1", 0.55, 0.70)
    aim("TTL 1 h, 2 threads", "larder-ttl", "get2", "sol-indirect", "get2", 0.55, 0.70)
    aim("namespace, 1 thread", "larder-namespace", "get1", "sol-indirect", "get1", 0.55, 0.70)
    aim("namespace, 2 threads", "larder-namespace", "get2", "sol-indirect", "get2", 0.55, 0.70)
    aim("64 keys at once, 1 thread, to batches of 16", "larder-many64", "get1", "sol-indirect-batch16", "get1", 0.70, 0.90)
    aim("64 keys at once, 2 threads", "larder-many64", "get2", "sol-indirect-batch16", "get2", 0.70, 0.90)
    aim("95 % read, 2 threads, to sol-seqlock", "larder", "mix2", "sol-seqlock", "mix2", 0.60, 0.75)
    aim("set, 2 threads over 1", "larder", "set2", "larder", "set1", 1.7, 1.9)
    aim("set on miss, 1 thread, to uthash+64mutex", "larder", "cap1", "uthash+64mutex", "cap1", 1.4, 1.8)
    aim("set on miss, 2 threads", "larder", "cap2", "uthash+64mutex", "cap2", 2.4, 3.6)
}

function aim(label, ours, what, theirs, whatelse, floor, goal) {
    label_of[++aims] = label
    ours_of[aims] = ours SUBSEP what
    theirs_of[aims] = theirs SUBSEP whatelse
    floor_of[aims] = floor
    goal_of[aims] = goal
}

/^[0-9]/ { value[$2, $3, $1] = $4; rounds = $1 > rounds ? $1 : rounds }

function median(of,   i, j, list, swap) {
    for (i = 1; i <= rounds; i++)
        list[i] = value[of, i] + 0
    for (i = 1; i <= rounds; i++)
        for (j = i + 1; j <= rounds; j++)
            if (list[j] < list[i]) { swap = list[i]; list[i] = list[j]; list[j] = swap }
    return rounds % 2 ? list[(rounds + 1) / 2] : (list[rounds / 2] + list[rounds / 2 + 1]) / 2
}

function place(ratio) {
    return left + (ratio > most ? most : ratio) / most * width
}

function text(x, y, anchor, words) {
    printf "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%s</text>\n", x, y, anchor, words
}

function bar(x, y, colour, words) {
    printf "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"%s\" stroke-width=\"3\"><title>%s</title></line>\n",
           x, x, y - 9, y + 9, colour, words
}

function draw(row,   y, i, ratio, theirs) {
    y = top + (row - 0.5) * step
    text(left - 12, y + 4, "end", label_of[row])
    printf "<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"#eee\"/>\n", left, left + width, y, y
    bar(place(floor_of[row]), y, "#d62728", "floor " floor_of[row])
    bar(place(goal_of[row]), y, "#2ca02c", "goal " goal_of[row])
    for (i = 1; i <= rounds; i++)
        if ((theirs = value[theirs_of[row], i]) > 0)
            printf "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"#1f77b4\" fill-opacity=\"0.4\"/>\n",
                   place(value[ours_of[row], i] / theirs), y
    ratio = (theirs = median(theirs_of[row])) > 0 ? median(ours_of[row]) / theirs : 0
    printf "<path d=\"M%.1f %.1fl6 6l-6 6l-6 -6z\" fill=\"#1f77b4\"/>\n", place(ratio), y - 6
    text(left + width + 10, y + 4, "start", sprintf("%.2f", ratio))
}

END {
    height = top + aims * step + 40
    printf "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" font-size=\"12\">\n",
           left + width + 60, height
    printf "<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n"
    text(left, 22, "start", "red: floor, green: goal, diamond: ratio of the medians, dots: each round")
    for (ratio = 0; ratio <= most; ratio += 0.5) {
        printf "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\" stroke=\"#ddd\"/>\n", place(ratio), place(ratio), top, height - 36
        text(place(ratio), height - 20, "middle", sprintf("%.1f", ratio))
    }
    for (row = 1; row <= aims; row++)
        draw(row)
    print "</svg>"
}
