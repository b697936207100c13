# Draws the table of larder-hit-ratio: awk -f hit_ratio_plot.awk <table >hit-ratios.svg
#
# A line for each trace and size; a policy's place on it is the part of the way from FIFO (0) to Belady's optimum (100 %)
# that it goes, so that easy and hard traces compare. What lies left of the frame is drawn on its edge. Columns called
# Segments, and URIs, are diamonds. No script, no font but the reader's own.

function text(x, y, anchor, words) {
    printf "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%s</text>\n", x, y, anchor, escape(words)
}

function escape(words) {
    gsub(/&/, "\\&amp;", words)
    gsub(/</, "\\&lt;", words)
    gsub(/"/, "\\&quot;", words)
    return words
}

function place(share) {
    return left + (share < least ? 0 : (share - least) / (1 - least)) * width
}

function mark(x, y, column, words) {
    if (ours[column])
        printf "<path d=\"M%.1f %.1fl6 6l-6 6l-6 -6z\" fill=\"%s\">", x, y - 6, colour[column]
    else
        printf "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\" fill=\"%s\" fill-opacity=\"0.85\">", x, y, colour[column]
    printf "<title>%s</title>", escape(words)
    print ours[column] ? "</path>" : "</circle>"
}

function legend(   column, x) {
    x = left
    for (column = 4; column <= columns; column++) {
        if (column == fifo || column == belady)
            continue
        mark(x, 18, column, name[column])
        text(x + 10, 22, "start", name[column])
        x += 30 + 7 * length(name[column])
    }
}

function frame(   share, x) {
    for (share = least; share <= 1.001; share += 0.25) {
        x = place(share)
        printf "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\" stroke=\"%s\"/>\n", x, x, top, height - 40,
               (share > -0.001 && share < 0.001) ? "#555" : "#ddd"
        text(x, height - 24, "middle", sprintf("%d %%", share * 100 + (share < 0 ? -0.5 : 0.5)))
    }
    text(place(0), height - 8, "middle", "FIFO")
    text(place(1), height - 8, "middle", "Belady")
    text(left + width + 12, top - 6, "start", "hit ratio, FIFO to Belady")
}

function draw_row(row,   column, y, span, turn) {
    y = top + (row - 0.5) * step
    span = cell[row, belady] - cell[row, fifo]
    text(left - 12, y + 4, "end", cell[row, 1] ", " cell[row, 3])
    text(left + width + 12, y + 4, "start", sprintf("%.1f to %.1f %%", cell[row, fifo], cell[row, belady]))
    printf "<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"#eee\"/>\n", left, left + width, y, y
    for (turn = 0; turn < 2; turn++) # ours on top
        for (column = 4; column <= columns; column++)
            if (column != fifo && column != belady && ours[column] == turn && span > 0)
                mark(place((cell[row, column] - cell[row, fifo]) / span), y, column,
                     name[column] ": " cell[row, column] " %")
}

BEGIN {
    FS = "\t"
    split("#0072b2 #e69f00 #009e73 #cc79a7 #56b4e9 #d55e00 #000000 #7f3c8d #999999", palette, " ")
    left = 170
    width = 560
    top = 52
    step = 22
    least = -0.5
}

NR == 1 {
    columns = NF
    for (column = 4; column <= NF; column++) {
        name[column] = $column
        ours[column] = $column == "Segments" || $column ~ /:/
        if ($column == "FIFO")
            fifo = column
        else if ($column == "Belady")
            belady = column
        else
            colour[column] = palette[1 + used++ % 9]
    }
    next
}

{
    rows++
    for (column = 1; column <= columns; column++)
        cell[rows, column] = $column
}

END {
    if (!fifo || !belady) {
        print "hit_ratio_plot.awk: the table needs the columns FIFO and Belady" > "/dev/stderr"
        exit 1
    }
    height = top + rows * step + 44
    printf "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" ", left + width + 190,
           height, left + width + 190, height
    print "font-family=\"sans-serif\" font-size=\"12\">"
    print "<title>Hit ratios of cache policies, between FIFO and Belady</title>"
    print "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>"
    legend()
    frame()
    for (row = 1; row <= rows; row++)
        draw_row(row)
    print "</svg>"
}
