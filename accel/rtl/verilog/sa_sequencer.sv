// When folds start. A fold is one stream of operands through the array, after a load (LOAD_CYCLES rows of the operand
// that stays, or of initial sums; 0 for none) and before its results are out.
//
// A fold is taken (`fold_valid` and `fold_ready`) as soon as its load may begin: `fold_valid` says that what it loads
// is in its buffer. Its stream begins as soon as the load is through, the array is free and `stream_valid` says that
// operands are in theirs; a clock in which they are not is a bubble. Nothing here knows how many clocks the array
// takes: without overlap it waits for `results_out`, double buffered only for what occupies its own registers.
module sa_sequencer #(
    parameter int LOAD_CYCLES = 4,
    parameter int SHIFT_CYCLES = 0,         // clocks in which results that stayed leave their row or column
    parameter bit DOUBLE_BUFFERED = 1'b1,
    parameter bit SERIALIZE_SHORT_FOLDS = 1'b0,
    parameter int LENGTH_BITS = 16,
    parameter int ADDRESS_BITS = 10,
    parameter int ROW_BITS = 2
) (
    input  wire                     clk,
    input  wire                     reset,
    // A fold: operands in its stream; where its results go, and whether they add to what is there.
    input  wire                     fold_valid,
    output wire                     fold_ready,
    input  wire  [ LENGTH_BITS-1:0] fold_length,
    input  wire  [ADDRESS_BITS-1:0] fold_address,
    input  wire                     fold_accumulate,
    // The load: a row in each clock, the last row first.
    output wire                     load_enable,
    output wire  [    ROW_BITS-1:0] load_row,
    output wire                     load_last,
    output logic                    load_bank,
    // The stream.
    output wire                     stream_request,
    output wire  [ LENGTH_BITS-1:0] stream_index,
    input  wire                     stream_valid,
    output wire                     enter,            // an operand enters the array in this clock
    output wire                     enter_first,
    output wire                     enter_last,
    output logic                    enter_bank,
    output wire  [ADDRESS_BITS-1:0] enter_address,
    output wire                     enter_accumulate,
    // The last result of a fold has left the array.
    input  wire                     results_out
);
    localparam int BEHIND_CYCLES = LOAD_CYCLES > SHIFT_CYCLES ? LOAD_CYCLES : SHIFT_CYCLES;
    localparam int COUNT_BITS = $clog2(BEHIND_CYCLES + 2);
    // Wide enough to compare a stream with what happens behind it.
    localparam int COMPARE_BITS = (LENGTH_BITS > COUNT_BITS ? LENGTH_BITS : COUNT_BITS) + 1;

    // The fold that is loading or loaded, and the one that streams.
    logic pending, streaming;
    logic [LENGTH_BITS-1:0] pending_length, length, index;
    logic [ADDRESS_BITS-1:0] pending_address, address;
    logic pending_accumulate, accumulate;
    // Clocks until the load, the way out of the results, and what a short fold did not hide are through.
    logic [COUNT_BITS-1:0] load_left, shift_left, behind_left;
    logic in_flight;

    wire pending_short, streaming_short;
    generate
        if (SERIALIZE_SHORT_FOLDS && BEHIND_CYCLES != 0) begin : g_serialize
            assign pending_short = COMPARE_BITS'(pending_length) < COMPARE_BITS'(BEHIND_CYCLES);
            assign streaming_short = COMPARE_BITS'(length) < COMPARE_BITS'(BEHIND_CYCLES);
        end else begin : g_overlap
            assign pending_short = 1'b0;
            assign streaming_short = 1'b0;
        end
    endgenerate
    wire all_out = !in_flight || results_out;

    // A stream begins when its load is through and the stream before it has ended, and not so early that it would end
    // while results of the fold before still occupy the registers it leaves its own in.
    wire free_to_stream = DOUBLE_BUFFERED
        ? !streaming && behind_left == '0 && COMPARE_BITS'(pending_length) >= COMPARE_BITS'(shift_left)
        : all_out && !streaming;
    wire may_begin = pending && load_left == '0 && free_to_stream;
    wire begins = may_begin && stream_valid;

    // A load begins when the registers it fills are free: the fold before streams, or, without overlap, is out. A fold
    // too short to hide the load goes to its end first. With nothing to load a fold is only noted.
    wire free_behind = (!pending || (begins && !pending_short)) && !(streaming && streaming_short);
    wire free_after = !pending && !streaming && all_out;
    wire free_to_load = LOAD_CYCLES == 0 ? !pending || begins : DOUBLE_BUFFERED ? free_behind : free_after;
    wire takes = fold_valid && free_to_load;

    assign fold_ready = free_to_load;
    assign load_enable = LOAD_CYCLES != 0 && (takes || load_left != '0);
    assign load_row = takes ? ROW_BITS'(LOAD_CYCLES - 1) : ROW_BITS'(load_left) - 1'b1;
    assign load_last = load_enable && load_row == '0;

    assign stream_request = may_begin || streaming;
    assign stream_index = streaming ? index : '0;
    assign enter = stream_request && stream_valid;
    assign enter_first = enter && !streaming;
    assign enter_last = enter && stream_index == (streaming ? length : pending_length) - 1'b1;
    assign enter_address = streaming ? address : pending_address;
    assign enter_accumulate = streaming ? accumulate : pending_accumulate;
    wire ended_short = streaming ? streaming_short : pending_short;

    always_ff @(posedge clk) begin
        if (reset) begin
            pending <= 1'b0;
            streaming <= 1'b0;
            in_flight <= 1'b0;
            load_left <= '0;
            shift_left <= '0;
            behind_left <= '0;
            load_bank <= 1'b0;
            enter_bank <= 1'b0;
        end else begin
            if (takes) pending <= 1'b1;
            else if (begins) pending <= 1'b0;

            if (takes) load_left <= LOAD_CYCLES == 0 ? '0 : COUNT_BITS'(LOAD_CYCLES - 1);
            else if (load_left != '0) load_left <= load_left - 1'b1;
            if (load_last) load_bank <= !load_bank;

            if (begins) streaming <= !enter_last;
            else if (enter_last) streaming <= 1'b0;
            if (enter_last) enter_bank <= !enter_bank;

            if (begins) in_flight <= 1'b1;
            else if (results_out) in_flight <= 1'b0;

            if (enter_last) shift_left <= COUNT_BITS'(SHIFT_CYCLES);
            else if (shift_left != '0) shift_left <= shift_left - 1'b1;
            if (enter_last && ended_short) behind_left <= COUNT_BITS'(BEHIND_CYCLES);
            else if (behind_left != '0) behind_left <= behind_left - 1'b1;
        end
        if (takes) begin
            pending_length <= fold_length;
            pending_address <= fold_address;
            pending_accumulate <= fold_accumulate;
        end
        if (begins) begin
            length <= pending_length;
            address <= pending_address;
            accumulate <= pending_accumulate;
        end
        if (enter) index <= stream_index + 1'b1;
    end
endmodule
