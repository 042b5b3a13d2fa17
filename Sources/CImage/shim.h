/* zlib, libpng and libjpeg as Swift sees them. */
#include <stdio.h>
#include <zlib.h>
#include <png.h>
#include <jpeglib.h>
