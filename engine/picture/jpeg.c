#include "jpeg.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>
#include <setjmp.h>

// A progressive file may repeat scans without end; real ones have about ten.
#define MAX_SCANS 100

struct session {
  struct jpeg_decompress_struct cinfo;
  struct jpeg_error_mgr err;
  struct jpeg_progress_mgr progress;
  jmp_buf out;
  int result;
  const volatile int32_t *stop;
  char *message;
};

static void fail(j_common_ptr c, int result) {
  struct session *s = c->client_data;
  char text[JMSG_LENGTH_MAX];
  c->err->format_message(c, text);
  strncpy(s->message, text, 199);
  s->message[199] = 0;
  s->result = result;
  longjmp(s->out, 1);
}

static void on_error(j_common_ptr c) {
  switch (c->err->msg_code) {
  case JERR_INPUT_EOF:
  case JERR_INPUT_EMPTY:
    fail(c, GH_TRUNCATED);
    break;
  case JERR_IMAGE_TOO_BIG:
    fail(c, GH_TOO_LARGE);
    break;
  case JERR_BAD_PRECISION:
  case JERR_SOF_UNSUPPORTED:
  case JERR_CONVERSION_NOTIMPL:
    fail(c, GH_UNSUPPORTED);
    break;
  default:
    fail(c, GH_CORRUPT);
  }
}

// libjpeg calls damage a warning and paints on; we refuse the picture.
static void on_message(j_common_ptr c, int level) {
  if (level >= 0)
    return; // trace
  switch (c->err->msg_code) {
  case JWRN_EXTRANEOUS_DATA: // stuffing between segments: some cameras write it
  case JWRN_ADOBE_XFORM:
  case JWRN_JFIF_MAJOR:
    return;
  case JWRN_JPEG_EOF:
    fail(c, GH_TRUNCATED);
    break;
  default:
    fail(c, GH_CORRUPT);
  }
}

static void on_progress(j_common_ptr c) {
  struct session *s = c->client_data;
  if (s->stop && *s->stop) {
    s->result = GH_STOPPED;
    longjmp(s->out, 1);
  }
  if (c->is_decompressor && ((j_decompress_ptr)c)->input_scan_number > MAX_SCANS) {
    strcpy(s->message, "too many scans");
    s->result = GH_CORRUPT;
    longjmp(s->out, 1);
  }
}

static void begin(struct session *s, const uint8_t *data, size_t n) {
  jpeg_create_decompress(&s->cinfo);
  s->progress.progress_monitor = on_progress;
  s->cinfo.progress = &s->progress;
  jpeg_mem_src(&s->cinfo, data, n);
  jpeg_read_header(&s->cinfo, TRUE);
}

static void prepare(struct session *s, char message[200]) {
  memset(s, 0, sizeof *s);
  message[0] = 0;
  s->message = message;
  s->cinfo.err = jpeg_std_error(&s->err);
  s->err.error_exit = on_error;
  s->err.emit_message = on_message;
  s->cinfo.client_data = s;
}

int gh_jpeg_size(const uint8_t *data, size_t n, int *width, int *height, char message[200]) {
  struct session s;
  prepare(&s, message);
  if (!setjmp(s.out)) {
    begin(&s, data, n);
    *width = s.cinfo.image_width;
    *height = s.cinfo.image_height;
  }
  jpeg_destroy_decompress(&s.cinfo);
  return s.result;
}

// Adobe writes CMYK inverted: 255 is no ink.
static void cmyk_to_rgb(const uint8_t *in, uint8_t *out, int width, int inverted) {
  for (int x = 0; x < width; x++, in += 4, out += 3) {
    for (int c = 0; c < 3; c++) {
      int ink = inverted ? in[c] : 255 - in[c];
      int black = inverted ? in[3] : 255 - in[3];
      out[c] = (ink * black + 127) / 255;
    }
  }
}

int gh_jpeg_decode(const uint8_t *data, size_t n, int reduce, uint8_t *out, int width, int height,
                   const volatile int32_t *stop, char message[200]) {
  struct session s;
  uint8_t *volatile row = NULL;
  prepare(&s, message);
  s.stop = stop;
  if (!setjmp(s.out)) {
    begin(&s, data, n);
    int cmyk = s.cinfo.jpeg_color_space == JCS_CMYK || s.cinfo.jpeg_color_space == JCS_YCCK;
    s.cinfo.out_color_space = cmyk ? JCS_CMYK : JCS_RGB;
    s.cinfo.scale_num = 1;
    s.cinfo.scale_denom = reduce;
    jpeg_start_decompress(&s.cinfo);
    if ((int)s.cinfo.output_width != width || (int)s.cinfo.output_height != height ||
        s.cinfo.output_components != (cmyk ? 4 : 3)) {
      strcpy(message, "the size changed while reading");
      s.result = GH_CORRUPT;
      longjmp(s.out, 1);
    }
    if (cmyk && !(row = malloc((size_t)width * 4))) {
      strcpy(message, "out of memory");
      s.result = GH_CORRUPT;
      longjmp(s.out, 1);
    }
    while (s.cinfo.output_scanline < s.cinfo.output_height) {
      uint8_t *line = out + (size_t)s.cinfo.output_scanline * width * 3;
      JSAMPROW target = cmyk ? row : line;
      jpeg_read_scanlines(&s.cinfo, &target, 1);
      if (cmyk)
        cmyk_to_rgb(row, line, width, s.cinfo.saw_Adobe_marker);
    }
    jpeg_finish_decompress(&s.cinfo);
  }
  free(row);
  jpeg_destroy_decompress(&s.cinfo);
  return s.result;
}
