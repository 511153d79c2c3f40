// A systolic array in which an operand stays, complete: sequencer, skew, array, de-skew, accumulators.
// Weight stationary: activations move, weights are held. Input stationary: weights move, activations are held.
//
// Operands are taken from the buffers in the clock in which they are asked for. Cycle stamps: a fold's first result is
// out in the clock at whose end `result_valid` first rises for it.
module sa_operand_stationary #(
    parameter int ROWS = 4,
    parameter int COLUMNS = 4,
    parameter int MOVING_BITS = 8,
    parameter bit MOVING_SIGNED = 1'b1,
    parameter int OTHER_BITS = 8,            // the operand that stays
    parameter bit OTHER_SIGNED = 1'b1,
    parameter bit XNOR = 1'b0,               // operands are -1, 0 and +1, of 2 bits
    parameter int SUM_BITS = 32,             // of sums in the array
    parameter int ACCUMULATOR_BITS = 32,
    parameter bit SATURATE = 1'b0,
    parameter bit DOUBLE_BUFFERED = 1'b1,
    parameter bit SERIALIZE_SHORT_FOLDS = 1'b0,
    parameter int ROW_STEP = 1,              // clocks from a row to the next
    parameter int COLUMN_STEP = 1,           // clocks from a column to the next
    parameter int MULTIPLIER_LATENCY = 0,
    parameter int INPUT_LATENCY = 0,
    parameter int OUTPUT_LATENCY = 0,
    parameter int LENGTH_BITS = 16,
    parameter int ADDRESS_BITS = 10,
    localparam int ROW_BITS = $clog2(ROWS + 1),
    localparam int COUNT_BITS = $clog2(ROWS * COLUMNS + COLUMNS + 1)
) (
    input  wire                                clk,
    input  wire                                reset,
    input  wire                                fold_valid,
    output wire                                fold_ready,
    input  wire  [            LENGTH_BITS-1:0] fold_length,
    input  wire  [           ADDRESS_BITS-1:0] fold_address,     // of the fold's first result
    input  wire                                fold_accumulate,
    output wire                                load_enable,
    output wire  [               ROW_BITS-1:0] load_row,
    input  wire  [     COLUMNS*OTHER_BITS-1:0] load_data,        // the held operand's row, a column in each lane
    output wire                                stream_request,
    output wire  [            LENGTH_BITS-1:0] stream_index,
    input  wire                                stream_valid,
    input  wire  [       ROWS*MOVING_BITS-1:0] stream_data,      // a row of the array in each lane
    output wire                                enter_first,      // the first operand of a fold enters in this clock
    output wire                                result_valid,
    output wire                                result_last,      // of its fold
    input  wire  [           ADDRESS_BITS-1:0] read_address,
    output wire  [COLUMNS*ACCUMULATOR_BITS-1:0] read_sums,
    output logic [             COUNT_BITS-1:0] overflows         // additions that did not fit, array and accumulators
);
    // From the clock in which an operand enters until its sum is in the last register.
    localparam int LATENCY = INPUT_LATENCY + MULTIPLIER_LATENCY + ROW_STEP * ROWS + COLUMN_STEP * (COLUMNS - 1)
        + OUTPUT_LATENCY;

    wire load_last, load_bank, enter, enter_last, enter_bank, enter_accumulate;
    wire [ADDRESS_BITS-1:0] enter_address;
    sa_sequencer #(
        .LOAD_CYCLES          (ROWS),
        .SHIFT_CYCLES         (0),
        .DOUBLE_BUFFERED      (DOUBLE_BUFFERED),
        .SERIALIZE_SHORT_FOLDS(SERIALIZE_SHORT_FOLDS),
        .LENGTH_BITS          (LENGTH_BITS),
        .ADDRESS_BITS         (ADDRESS_BITS),
        .ROW_BITS             (ROW_BITS)
    ) sequencer (
        .clk             (clk),
        .reset           (reset),
        .fold_valid      (fold_valid),
        .fold_ready      (fold_ready),
        .fold_length     (fold_length),
        .fold_address    (fold_address),
        .fold_accumulate (fold_accumulate),
        .load_enable     (load_enable),
        .load_row        (load_row),
        .load_last       (load_last),
        .load_bank       (load_bank),
        .stream_request  (stream_request),
        .stream_index    (stream_index),
        .stream_valid    (stream_valid),
        .enter           (enter),
        .enter_first     (enter_first),
        .enter_last      (enter_last),
        .enter_bank      (enter_bank),
        .enter_address   (enter_address),
        .enter_accumulate(enter_accumulate),
        .results_out     (result_valid && result_last)
    );

    // Bubbles are zeros: they add nothing.
    wire [1:0] load_in = DOUBLE_BUFFERED ? {load_last && load_bank, load_last && !load_bank} : {1'b0, load_enable};
    wire [1:0] load_entered;
    wire [COLUMNS*OTHER_BITS-1:0] held_entered;
    wire [ROWS*MOVING_BITS-1:0] moving_entered;
    wire bank_entered;
    sa_delay #(
        .BITS  (2 + COLUMNS * OTHER_BITS),
        .CYCLES(INPUT_LATENCY)
    ) load_entry (
        .clk(clk),
        .in ({load_in, load_data}),
        .out({load_entered, held_entered})
    );
    sa_delay #(
        .BITS  (1 + ROWS * MOVING_BITS),
        .CYCLES(INPUT_LATENCY)
    ) stream_entry (
        .clk(clk),
        .in ({enter_bank, enter ? stream_data : {ROWS * MOVING_BITS{1'b0}}}),
        .out({bank_entered, moving_entered})
    );

    // Double buffered, the held operand travels in the wave's own skew; otherwise all columns load in step.
    localparam int LOAD_STEP = DOUBLE_BUFFERED ? COLUMN_STEP : 0;
    wire [COLUMNS*OTHER_BITS-1:0] held_skewed;
    wire [2*COLUMNS-1:0] load_skewed;
    wire [ROWS*MOVING_BITS-1:0] moving_skewed;
    wire [ROWS-1:0] bank_skewed;
    sa_skew #(
        .LANES(COLUMNS),
        .BITS (OTHER_BITS),
        .STEP (LOAD_STEP)
    ) held_skew (
        .clk(clk),
        .in (held_entered),
        .out(held_skewed)
    );
    sa_skew #(
        .LANES(COLUMNS),
        .BITS (2),
        .STEP (LOAD_STEP)
    ) load_skew (
        .clk(clk),
        .in ({COLUMNS{load_entered}}),
        .out(load_skewed)
    );
    sa_skew #(
        .LANES(ROWS),
        .BITS (MOVING_BITS),
        .STEP (ROW_STEP)
    ) moving_skew (
        .clk(clk),
        .in (moving_entered),
        .out(moving_skewed)
    );
    sa_skew #(
        .LANES(ROWS),
        .BITS (1),
        .STEP (ROW_STEP)
    ) bank_skew (
        .clk(clk),
        .in ({ROWS{bank_entered}}),
        .out(bank_skewed)
    );

    wire [COLUMNS*SUM_BITS-1:0] sums_skewed, sums_aligned, sums;
    wire [COUNT_BITS-1:0] array_overflows, accumulator_overflows;
    sa_array_operand_stays #(
        .ROWS              (ROWS),
        .COLUMNS           (COLUMNS),
        .MOVING_BITS       (MOVING_BITS),
        .MOVING_SIGNED     (MOVING_SIGNED),
        .HELD_BITS         (OTHER_BITS),
        .HELD_SIGNED       (OTHER_SIGNED),
        .XNOR              (XNOR),
        .SUM_BITS          (SUM_BITS),
        .SATURATE          (SATURATE),
        .DOUBLE_BUFFERED   (DOUBLE_BUFFERED),
        .ROW_STEP          (ROW_STEP),
        .COLUMN_STEP       (COLUMN_STEP),
        .MULTIPLIER_LATENCY(MULTIPLIER_LATENCY),
        .COUNT_BITS        (COUNT_BITS)
    ) array (
        .clk      (clk),
        .reset    (reset),
        .moving   (moving_skewed),
        .bank     (bank_skewed),
        .held     (held_skewed),
        .load     (load_skewed),
        .sums     (sums_skewed),
        .overflows(array_overflows)
    );
    sa_skew #(
        .LANES   (COLUMNS),
        .BITS    (SUM_BITS),
        .STEP    (COLUMN_STEP),
        .REVERSED(1'b1)
    ) align (
        .clk(clk),
        .in (sums_skewed),
        .out(sums_aligned)
    );
    sa_delay #(
        .BITS  (COLUMNS * SUM_BITS),
        .CYCLES(OUTPUT_LATENCY)
    ) leave (
        .clk(clk),
        .in (sums_aligned),
        .out(sums)
    );

    // What the control needs to know of a result travels beside it.
    wire [ADDRESS_BITS-1:0] enter_result = enter_address + ADDRESS_BITS'(stream_index);
    wire [ADDRESS_BITS-1:0] result_address;
    wire result_accumulate;
    sa_valid_delay #(
        .BITS  (ADDRESS_BITS + 2),
        .CYCLES(LATENCY)
    ) beside (
        .clk      (clk),
        .reset    (reset),
        .valid_in (enter),
        .in       ({enter_last, enter_accumulate, enter_result}),
        .valid_out(result_valid),
        .out      ({result_last, result_accumulate, result_address})
    );

    sa_accumulators #(
        .LANES       (COLUMNS),
        .SUM_BITS    (SUM_BITS),
        .BITS        (ACCUMULATOR_BITS),
        .SATURATE    (SATURATE),
        .ADDRESS_BITS(ADDRESS_BITS),
        .COUNT_BITS  (COUNT_BITS)
    ) accumulators (
        .clk         (clk),
        .valid       (result_valid),
        .address     (result_address),
        .accumulate  (result_accumulate),
        .sums        (sums),
        .overflows   (accumulator_overflows),
        .read_address(read_address),
        .read_sums   (read_sums)
    );
    always_ff @(posedge clk) overflows <= reset ? '0 : array_overflows + accumulator_overflows;
endmodule
