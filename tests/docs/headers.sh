#!/bin/sh
# Every public header stands alone, in C11 and in C++11.
# usage: headers.sh SOURCE_DIR C_COMPILER CXX_COMPILER
set -eu
source=$1
cd "$source/include"
for header in larder/*.h; do
    "$2" -std=c11 -Wall -Wextra -Wstrict-prototypes -Werror -Wno-unused-function \
        -I. -fsyntax-only -x c "$header"
    "$3" -std=c++11 -Wall -Wextra -Werror -Wno-unused-function -I. -fsyntax-only -x c++ "$header"
done
echo "headers: all stand alone"
