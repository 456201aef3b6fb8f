merpati_command(postqueue postqueue.c postqueue_list.c postqueue_flush.c
  LINK merpati_queue_report merpati_queue merpati_ipc merpati_map merpati_conf merpati_syntax merpati_rt merpati_base)
merpati_unit_test(postqueue_list postqueue_list_test.c postqueue_list.c LINK merpati_base)
